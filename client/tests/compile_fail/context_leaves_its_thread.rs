use everlog_client::prelude::*;

#[workflow]
async fn leaks(cx: &Cx) -> Result<()> {
    send(cx.clone());
    Ok(())
}

fn send(cx: Cx) {
    std::thread::spawn(move || drop(cx));
}

fn main() {}
