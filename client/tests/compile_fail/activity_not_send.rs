use everlog_client::prelude::*;

#[activity(start_to_close = "5s")]
async fn counts() -> Result<u8> {
    let count = std::rc::Rc::new(1);
    std::future::ready(()).await;
    Ok(*count)
}

fn main() {}
