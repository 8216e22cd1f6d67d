use everlog_client::prelude::*;

#[workflow]
async fn waits(cx: &Cx) -> Result<()> {
    select! { cx;
        slept = cx.sleep(Duration::from_secs(1)),
    }
    Ok(())
}

fn main() {}
