use everlog_client::prelude::*;

#[workflow]
async fn counts(cx: &Cx) -> Result<()> {
    select! { cx;
        slept = cx.sleep(Duration::from_secs(1)) => {
            let seen: HashSet<u8> = Default::default();
            slept?;
        }
    }
    Ok(())
}

fn main() {}
