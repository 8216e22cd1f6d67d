//! Generates the server traits of the public services, the code of our own cluster protocol, and the
//! descriptors that reflection and the HTTP API read.
//!
//! The public messages are already compiled in `temporalio-protos`, which exports the path of its
//! descriptor set to the build scripts of its dependents. That set has lost the extensions of the options,
//! and with them where each method is found over HTTP; so the sources that the crate carries are read once
//! more, where cargo put them. No `.proto` file of the public API is copied here, and no `protoc` is needed.

use std::{
    env,
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use flate2::{Compression, write::GzEncoder};
use prost::Message;
use prost_types::FileDescriptorSet;

/// The crate that carries the sources of the public API.
const PROTOS: &str = "temporalio-protos";
/// What is served, and what may be inside an error.
const PUBLIC: [&str; 4] = [
    "temporal/api/workflowservice/v1/service.proto",
    "temporal/api/operatorservice/v1/service.proto",
    "temporal/api/errordetails/v1/message.proto",
    "google/rpc/status.proto",
];
/// The documents of the API that its authors publish.
const OPENAPI: [&str; 2] = ["openapiv2.json", "openapiv3.yaml"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cluster.proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let descriptors = fs::read(env::var("DEP_TEMPORALIO_PROTOS_DESCRIPTOR_PATH")?)?;
    let mut services = FileDescriptorSet::decode(descriptors.as_slice())?;
    services.file.retain(|file| !file.service.is_empty() && file.package().starts_with("temporal.api."));
    tonic_prost_build::configure()
        .build_server(true)
        .build_client(false)
        .generate_default_stubs(true)
        .extern_path(".temporal.api", "::temporalio_protos::temporal::api")
        .out_dir(out.join("."))
        .compile_fds(services)?;

    let sources = sources()?.join("protos");
    let upstream = sources.join("api_upstream");
    let public = protox::Compiler::new([&upstream, &sources])?
        .include_imports(true)
        .include_source_info(false)
        .open_files(PUBLIC)?
        .encode_file_descriptor_set();
    fs::write(out.join("public.bin"), public)?;
    for document in OPENAPI {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&fs::read(upstream.join("openapi").join(document))?)?;
        fs::write(out.join(format!("{document}.gz")), packed.finish()?)?;
    }

    let cluster = protox::compile(["cluster.proto"], ["."])?;
    tonic_prost_build::configure()
        .build_server(true)
        .build_client(true)
        .bytes(".")
        .out_dir(out.join("."))
        .compile_fds(cluster)?;
    Ok(())
}

/// The folder of the crate that carries the sources.
fn sources() -> Result<PathBuf, Box<dyn Error>> {
    // The answer tells of all packages of the workspace, of which a build has only fetched those that it needs.
    let mut asked = metadata(true)?;
    if !asked.status.success() {
        asked = metadata(false)?;
    }
    if !asked.status.success() {
        return Err(String::from_utf8_lossy(&asked.stderr).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&asked.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo names no packages")?;
    let found = packages.iter().find(|package| package["name"] == PROTOS).ok_or("no such package")?;
    let manifest = found["manifest_path"].as_str().ok_or("a package without a manifest")?;
    Ok(Path::new(manifest).parent().ok_or("a manifest without a folder")?.to_owned())
}

/// Asks cargo where its packages are.
fn metadata(offline: bool) -> Result<Output, Box<dyn Error>> {
    let manifest = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let mut command = Command::new(env::var("CARGO")?);
    command.args(["metadata", "--format-version=1", "--manifest-path"]).arg(manifest);
    Ok(command.args(offline.then_some("--offline")).output()?)
}
