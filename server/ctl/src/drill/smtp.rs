//! Sending a probe's message.

use anyhow::{Context, bail};
use data_encoding::BASE64;

use super::plan::Plan;
use super::wire::{Trust, Wire};

/// The field that has a probe's id.
pub(crate) const FIELD: &str = "X-Godwit-Drill";

/// A message with an id, of about this size.
pub(crate) fn message(plan: &Plan, to: &str, id: &str, size: usize) -> String {
    let mut text = format!(
        "From: <{}>\r\nTo: <{to}>\r\nSubject: drill {id}\r\nMessage-ID: <{id}@drill.invalid>\r\n{FIELD}: {id}\r\n\r\nprobe {id}\r\n",
        plan.mail.sender
    );
    // Each message has bytes of its own, so that bodies are not one body.
    let mut line = 0;
    while text.len() < size {
        text.push_str(&format!("{id} line {line:06} of a message that is larger than most are\r\n"));
        line += 1;
    }
    text
}

/// To the account, as other servers deliver; returns after the 250.
pub(crate) async fn deliver(plan: &Plan, trust: &Trust, id: &str) -> anyhow::Result<()> {
    let wire = Wire::connect(&plan.mail.smtp, "smtp", trust).await?;
    send(wire, plan, None, &plan.mail.account, id).await
}

/// To the sink, as the account's own program does.
pub(crate) async fn submit(plan: &Plan, trust: &Trust, sink: &str, id: &str) -> anyhow::Result<()> {
    let url = plan.mail.submission.as_deref().context("mail.submission")?;
    let wire = Wire::connect(url, "submission", trust).await?;
    let token = BASE64.encode(format!("\0{}\0{}", plan.mail.account, plan.mail.password.read()?).as_bytes());
    send(wire, plan, Some(format!("AUTH PLAIN {token}")), sink, id).await
}

async fn send(mut wire: Wire, plan: &Plan, auth: Option<String>, to: &str, id: &str) -> anyhow::Result<()> {
    expect(&mut wire, None, "2").await?;
    expect(&mut wire, Some("EHLO drill.invalid"), "2").await?;
    let mut from = plan.mail.sender.as_str();
    if let Some(auth) = auth {
        expect(&mut wire, Some(&auth), "2").await.context("AUTH")?;
        from = &plan.mail.account;
    }
    expect(&mut wire, Some(&format!("MAIL FROM:<{from}>")), "2").await?;
    expect(&mut wire, Some(&format!("RCPT TO:<{to}>")), "2").await?;
    expect(&mut wire, Some("DATA"), "3").await?;
    let text = message(plan, to, id, 0);
    expect(&mut wire, Some(&format!("{text}.")), "2").await?;
    // It is taken: a connection that ends now changes nothing.
    let _ = wire.say("QUIT").await;
    Ok(())
}

/// Says a line, if there is one, and reads a reply whose code begins so.
async fn expect(wire: &mut Wire, line: Option<&str>, code: &str) -> anyhow::Result<()> {
    if let Some(line) = line {
        wire.say(line).await?;
    }
    loop {
        let reply = wire.line().await?;
        if !reply.starts_with(code.as_bytes()) {
            bail!("{}", String::from_utf8_lossy(&reply));
        }
        if reply.get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}
