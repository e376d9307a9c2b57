//! `passphrase` through a running server.
//!
//! It promises: the server is asked how it stands before anybody types anything; what opens the
//! vault goes with the change it is for.
//! It never: leaves a key file behind that opens nothing.

use serde_json::{Value, json};

use super::created::NewKeyFile;
use super::{AddArgs, AddKeyFileArgs, AddRecoveryCodeArgs, Opener, RemoveSlotArgs, SetArgs, Which};
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::secrets::{Input, read_file};
use crate::error::Error;
use crate::secret::{Secret, base64url};
use crate::vault::Unlocker;

pub(super) async fn set(args: &SetArgs) -> Result<(), Failure> {
    let (client, _) = client(&args.opener.which).await?;
    let mut input = Input::default();
    let mut body = args.opener.proof(&mut input)?;
    let passphrase = args.new_passphrase(&mut input)?;
    body["passphrase"] = json!(passphrase.expose());
    body["kdf_memory_mib"] = json!(args.kdf.kdf_memory_mib);
    client.put(&["v1", "passphrase"], &body).await?;
    Ok(())
}

pub(super) async fn add(args: &AddArgs) -> Result<u32, Failure> {
    let (client, _) = client(&args.set.opener.which).await?;
    let mut input = Input::default();
    let mut body = args.set.opener.proof(&mut input)?;
    let passphrase = args.set.new_passphrase(&mut input)?;
    body["kind"] = json!("passphrase");
    body["passphrase"] = json!(passphrase.expose());
    body["label"] = json!(args.label);
    body["kdf_memory_mib"] = json!(args.set.kdf.kdf_memory_mib);
    number(&client.post(&["v1", "slots"], &body).await?)
}

pub(super) async fn add_key_file(args: &AddKeyFileArgs) -> Result<u32, Failure> {
    let (client, _) = client(&args.opener.which).await?;
    let mut body = args.opener.proof(&mut Input::default())?;
    let file = NewKeyFile::make(args)?;
    let content = file.before(key_file(&args.file))?;
    body["kind"] = json!("key_file");
    body["key_file"] = json!(content.expose());
    body["label"] = json!(args.label);
    let made = client.post(&["v1", "slots"], &body).await;
    number(&file.settle(made)?)
}

pub(super) async fn add_recovery_code(
    args: &AddRecoveryCodeArgs,
) -> Result<(u32, Secret<String>), Failure> {
    let (client, _) = client(&args.opener.which).await?;
    let mut body = args.opener.proof(&mut Input::default())?;
    body["kind"] = json!("recovery_code");
    body["label"] = json!(args.label);
    let mut made = client.post(&["v1", "slots"], &body).await?;
    let number = number(&made)?;
    match made["recovery_code"].take() {
        Value::String(code) => Ok((number, Secret::new(code))),
        _ => Err(strange()),
    }
}

pub(super) async fn slots(which: &Which) -> Result<Vec<Value>, Failure> {
    let (_, slots) = client(which).await?;
    Ok(slots)
}

pub(super) async fn remove_slot(
    args: &RemoveSlotArgs,
    sure: impl FnOnce(&Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (client, slots) = client(&args.opener.which).await?;
    let slot = slots.iter().find(|slot| slot["number"] == args.number);
    sure(slot.ok_or(Error::NotFound("key slot"))?)?;
    let body = args.opener.proof(&mut Input::default())?;
    let number = args.number.to_string();
    client.delete_with(&["v1", "slots", &number], &body).await?;
    Ok(())
}

/// A way to the server, which answered that it is unlocked, and its slots.
async fn client(which: &Which) -> Result<(Client, Vec<Value>), Failure> {
    let client = Client::with_key(&which.remote())?;
    let mut status = client.get(&["v1", "status"], &[]).await?;
    match status["slots"].take() {
        Value::Array(slots) => Ok((client, slots)),
        _ => Err(strange()),
    }
}

impl Opener {
    /// What opens the vault, as the server takes it.
    fn proof(&self, input: &mut Input) -> Result<Value, Failure> {
        if let Some(path) = &self.with.key_file {
            return Ok(json!({"current_key_file": key_file(path)?.expose()}));
        }
        let file = self.with.recovery_file.as_deref();
        let typed = match self.with.recovery || file.is_some() {
            true => input.read("the recovery code", file)?,
            false => input.read("the passphrase", self.with.passphrase_file.as_deref())?,
        };
        Ok(json!({"current": typed.expose()}))
    }
}

/// A key file's content, checked and in base64.
fn key_file(path: &std::path::Path) -> Result<Secret<String>, Failure> {
    let bytes = read_file("the key file", path)?;
    let text = Secret::new(base64url(bytes.expose()));
    Unlocker::key_file(bytes)?;
    Ok(text)
}

fn number(made: &Value) -> Result<u32, Failure> {
    let number = made["number"]
        .as_u64()
        .and_then(|number| number.try_into().ok());
    number.ok_or_else(strange)
}

fn strange() -> Failure {
    Failure::new(
        crate::cli::failure::Exit::Failed,
        "the server answered, but not as this version of strongroom does",
        "look at what was done with `strongroom passphrase slots`",
    )
}
