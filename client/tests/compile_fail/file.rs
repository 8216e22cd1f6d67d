use everlog_client::prelude::*;

#[workflow]
async fn reads_a_file(cx: &Cx) -> Result<String> {
    Ok(std::fs::read_to_string("/etc/hostname")?)
}

fn main() {}
