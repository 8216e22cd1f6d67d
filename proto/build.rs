//! Generates the server traits of the public services and the code of our own cluster protocol.
//!
//! The public messages are already compiled in `temporalio-protos`, which exports the path of its
//! descriptor set to the build scripts of its dependents. No `.proto` file of the public API is
//! copied here, and no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cluster.proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let descriptors = fs::read(env::var("DEP_TEMPORALIO_PROTOS_DESCRIPTOR_PATH")?)?;
    let mut public = FileDescriptorSet::decode(descriptors.as_slice())?;
    // Reflection serves the whole set, imports included; the generator gets only the files that declare
    // services.
    fs::write(out.join("public.bin"), public.encode_to_vec())?;
    public.file.retain(|file| !file.service.is_empty() && file.package().starts_with("temporal.api."));
    tonic_prost_build::configure()
        .build_server(true)
        .build_client(false)
        .generate_default_stubs(true)
        .extern_path(".temporal.api", "::temporalio_protos::temporal::api")
        .out_dir(out.join("."))
        .compile_fds(public)?;

    let cluster = protox::compile(["cluster.proto"], ["."])?;
    tonic_prost_build::configure()
        .build_server(true)
        .build_client(true)
        .bytes(".")
        .out_dir(out.join("."))
        .compile_fds(cluster)?;
    Ok(())
}
