//! The smallest whole program: a workflow, an activity, a worker, and a start.
//! `cargo run -p everlog-client --example hello -- http://127.0.0.1:7233`

use everlog_client::prelude::*;

#[activity(start_to_close = "5s")]
async fn greet(name: String) -> Result<String> {
    Ok(format!("Hello, {name}!"))
}

#[workflow]
async fn hello(cx: &Cx, name: String) -> Result<String> {
    Ok(cx.call(greet, name).await?)
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("http://127.0.0.1:7233".into());
    let client = Client::connect(address).queue("hello").await?;
    let handle = client.start(hello, "world".to_owned()).await?;
    let worker = Worker::new(&client, "hello").workflow(hello).activity(greet);
    worker.run_until(async { println!("{:?}", handle.result().await) }).await?;
    Ok(())
}
