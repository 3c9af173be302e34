//! `godwit account app-password …` and `godwit account totp …`

use std::io::Write;

use admin::api;
use reqwest::Method;

use crate::client::Client;
use crate::command::{AppPassword, Totp};
use crate::commands::NOTHING;
use crate::output::print;

pub(crate) async fn app_password(client: &Client, command: AppPassword, json: bool) -> anyhow::Result<()> {
    match command {
        AppPassword::Add { address, name } => {
            let new = api::NewAppPassword { name };
            let made: api::AppPassword = client.post(&["accounts", &address, "app-passwords"], &new).await?;
            if json {
                return print_app_passwords(json, &[made]);
            }
            writeln!(std::io::stdout(), "{}", made.password.unwrap_or_default())?;
            Ok(())
        }
        AppPassword::List { address } => {
            print_app_passwords(json, &client.all(&["accounts", &address, "app-passwords"], &[]).await?)
        }
        AppPassword::Remove { address, id } => {
            client.act(Method::DELETE, &["accounts", &address, "app-passwords", &id], NOTHING).await
        }
    }
}

pub(crate) async fn totp(client: &Client, command: Totp, json: bool) -> anyhow::Result<()> {
    match command {
        Totp::Add { address } => {
            let enrolled: api::Enrolled = client.ask(&["accounts", &address, "totp"]).await?;
            let mut out = std::io::stdout().lock();
            if json {
                writeln!(out, "{}", serde_json::to_string_pretty(&enrolled)?)?;
                return Ok(());
            }
            writeln!(out, "{}", enrolled.uri)?;
            for code in &enrolled.recovery_codes {
                writeln!(out, "{code}")?;
            }
            Ok(())
        }
        Totp::Confirm { address, code } => {
            let code = api::TotpCode { code };
            client.act(Method::POST, &["accounts", &address, "totp", "confirm"], Some(&code)).await
        }
        Totp::Show { address } => {
            let state: api::SecondFactor = client.get(&["accounts", &address, "totp"]).await?;
            print(json, &[state], ["TOTP", "RECOVERY CODES"], |state| {
                [state.state.clone(), state.recovery_codes.to_string()]
            })
        }
        Totp::Remove { address } => {
            client.act(Method::DELETE, &["accounts", &address, "totp"], NOTHING).await
        }
    }
}

fn print_app_passwords(json: bool, all: &[api::AppPassword]) -> anyhow::Result<()> {
    print(json, all, ["ID", "NAME", "CREATED"], |one| {
        [one.id.clone(), one.name.clone(), one.created.to_string()]
    })
}
