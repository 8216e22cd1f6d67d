//! The example that every talk on durable execution uses: a trial, then a charge every period until the
//! customer cancels; the amount changed by a message while it runs, the state readable by a query.
//! `cargo run -p everlog-client --example subscription -- http://127.0.0.1:7233`

use everlog_client::prelude::*;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Subscription {
    customer: String,
    cents: u64,
    trial: Duration,
    period: Duration,
    charges: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Change {
    Amount(u64),
    Cancel,
}

#[derive(Debug, thiserror::Error, AppError, Serialize, Deserialize)]
enum SubscriptionError {
    #[error("the customer's card was declined")]
    Charge(#[from] CallError<PayError>),
    #[error("the mail could not be sent")]
    Mail(String),
    #[error("stopped by the operator")]
    Stopped(#[from] Cancelled),
}

#[derive(Debug, PartialEq, thiserror::Error, AppError, Serialize, Deserialize)]
enum PayError {
    #[error("declined")]
    #[retryable(false)]
    Declined,
    #[error("the bank is not there")]
    Away,
}

/// Stands for the payment provider, which knows keys of charges that it has seen.
struct Bank;

impl Bank {
    async fn charge(&self, customer: &str, cents: u64, key: &str) -> Result<(), PayError> {
        println!("charged {customer} {cents} cents, key {key}");
        if cents == 0 { Err(PayError::Declined) } else { Ok(()) }
    }
}

#[activity(start_to_close = "5s", retry(max = 5, initial = "100ms", backoff = 2.0))]
async fn charge(acx: &Acx, customer: String, cents: u64) -> Result<(), PayError> {
    acx.dep::<Bank>().charge(&customer, cents, &acx.idempotency_key()).await
}

#[activity(start_to_close = "5s")]
async fn mail(customer: String, text: String) -> Result<()> {
    println!("mail to {customer}: {text}");
    Ok(())
}

#[workflow]
async fn subscription(cx: &Cx, mut sub: Subscription) -> Result<u64, SubscriptionError> {
    let inbox = cx.inbox::<Change>();
    cx.on_query("period", |sub: &Subscription| sub.period);
    cx.publish(&sub);
    cx.sleep(sub.trial).await?;
    'paying: loop {
        match cx.call(charge, (sub.customer.clone(), sub.cents)).await {
            Ok(()) => sub.charges += 1,
            Err(CallError::App(PayError::Declined)) => tell(cx, &sub, "Please renew your card.").await?,
            Err(error) => return Err(error.into()),
        }
        let mut due = cx.sleep(sub.period);
        loop {
            cx.publish(&sub);
            select! { cx;
                message = inbox.recv() => match message? {
                    Change::Amount(cents) => sub.cents = cents,
                    Change::Cancel => break 'paying,
                },
                slept = &mut due => break slept?,
            }
        }
        cx.continue_as_new_if_long(subscription, &sub).await;
    }
    tell(cx, &sub, "We are sorry to see you go.").await?;
    Ok(sub.charges)
}

async fn tell(cx: &Cx, sub: &Subscription, text: &str) -> Result<(), SubscriptionError> {
    let sent = cx.call(mail, (sub.customer.clone(), text.to_owned())).await;
    sent.map_err(|error| SubscriptionError::Mail(error.to_string()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("http://127.0.0.1:7233".into());
    let client = Client::connect(address).queue("billing").await?;
    let worker = Worker::new(&client, "billing").workflow(subscription).activity(charge).activity(mail);
    let story = async {
        let second = Duration::from_secs(1);
        let sub =
            Subscription { customer: "Ada".into(), cents: 900, trial: second, period: second, charges: 0 };
        let handle = client.start(subscription, sub).await?;
        tokio::time::sleep(3 * second).await;
        handle.send(Change::Amount(1_200)).await?;
        println!("the period is {:?}", handle.query::<Duration>("period").await?);
        tokio::time::sleep(2 * second).await;
        handle.send(Change::Cancel).await?;
        println!("charges: {}", handle.result().await?);
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    worker
        .dep(Bank)
        .run_until(async {
            if let Err(error) = story.await {
                eprintln!("{error}");
            }
        })
        .await?;
    Ok(())
}
