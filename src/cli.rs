//! The command line: arguments in, calls, tables and JSON out.
//!
//! It promises: it is thin, and what it does a program can do over the wire or with the library;
//! secrets come from a terminal, a file or standard input; what goes wrong is said in two lines,
//! `strongroom: what is wrong` and `hint: what to do`, and told to scripts by exit codes that
//! `--help` lists; before the first secret is read, core dumps and foreign readers are shut out.
//! It never: takes a secret from an argument, decides who may do what, or prints a secret nobody
//! asked for.

mod app;
pub mod args;
mod ask;
mod audit;
mod backup;
mod brand;
mod catalogue;
mod check;
mod client;
mod compact;
mod completions;
mod connect;
mod descriptors;
mod dev;
mod failure;
mod follow;
mod harden;
mod import;
mod init;
mod key;
mod lock;
mod logging;
mod misuse;
mod opener;
mod output;
mod passphrase;
mod progress;
mod restore;
mod rotate;
mod salvage;
mod sandbox;
mod secrets;
mod serve;
mod server;
mod token;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

use self::args::{Cli, Command};
use self::failure::{Exit, Failure};

/// Runs the command that the process's arguments name.
pub fn run() -> ExitCode {
    harden::panics();
    if let Err(error) = harden::process() {
        return Failure::from(error).report();
    }
    let outcome = match Cli::try_parse() {
        Ok(cli) => dispatch(cli.command),
        Err(error) => return misuse::report(&error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    logging::start(match command {
        Command::Serve(_) | Command::Dev(_) | Command::Sandbox(_) => LevelFilter::INFO,
        // What a short command has to say it says by itself, as its answer or its failure.
        _ => LevelFilter::ERROR,
    })?;
    match command {
        Command::Dev(args) => dev::run(args),
        Command::Serve(args) => serve::run(*args),
        Command::Sandbox(args) => sandbox::run(args),
        Command::Init(args) => init::run(&args),
        Command::Passphrase(command) => passphrase::run(command),
        Command::Backup(args) => backup::run(&args),
        Command::Compact(args) => compact::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Salvage(args) => salvage::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Unlock(args) => wait(lock::unlock(args)),
        Command::Lock(args) => wait(lock::lock(args)),
        Command::Status(args) => wait(lock::status(args)),
        Command::Rotate(args) => wait(rotate::run(args)),
        Command::App(command) => wait(app::run(command)),
        Command::Connect(args) => wait(connect::run(args)),
        Command::Token(command) => wait(token::run(command)),
        Command::Import(command) => wait(import::run(command)),
        Command::Key(command) => wait(key::run(command)),
        Command::Audit(args) => wait(audit::run(args)),
    }
}

/// Runs a command that talks to a server.
fn wait<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}"), ""))?
        .block_on(command)
}
