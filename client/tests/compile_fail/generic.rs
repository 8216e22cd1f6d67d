use everlog_client::prelude::*;

#[workflow]
async fn anything<T>(cx: &Cx, value: T) -> Result<T> {
    Ok(value)
}

fn main() {}
