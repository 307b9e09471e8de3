//! The life of a module's process: read arguments, plan, apply unless in check mode, answer.
//!
//! Whatever happens, standard output carries exactly one JSON object: Ansible reads nothing else.

use std::{
    ffi::{OsStr, OsString},
    io::{Read as _, Write as _},
    panic::PanicHookInfo,
    process::ExitCode,
    sync::{Mutex, OnceLock, PoisonError},
    thread::{self, ThreadId},
};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::{Arguments, Failure, Module, Outcome, Spec, Task, convert, help, no_log};
use crate::{
    system::{files, limit},
    text::make_printable,
};

/// What must not be shown. Also the panic hook needs it, so it is the process's.
static SECRETS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What tells one module from another here: all else is compiled once for all of them.
pub(super) struct Described {
    pub name: &'static str,
    pub about: &'static str,
    pub spec: Spec,
    limit: Option<u64>,
    work: fn(Value, &Task) -> Result<Outcome>,
}

/// Runs module `M`.
pub fn run<M: Module>(arguments: Vec<OsString>) -> ExitCode {
    let (name, about, spec, limit) = (M::NAME, M::ABOUT, M::Params::spec(), M::LIMIT);
    live(&Described { name, about, spec, limit, work: work::<M> }, arguments)
}

/// Goes through the steps; in check mode only through those that do not write.
fn work<M: Module>(params: Value, task: &Task) -> Result<Outcome> {
    let params = serde_json::from_value(params)?;
    M::check(&params)?;
    let _held = if task.check_mode { None } else { M::lock(&params)? };
    let plan = M::plan(params, task)?;
    let predicted = M::predict(&plan, task);
    if task.check_mode { Ok(predicted) } else { M::apply(plan, predicted) }
}

fn live(module: &Described, arguments: Vec<OsString>) -> ExitCode {
    let name = module.name;
    let argument = arguments.into_iter().next();
    if argument.as_deref() == Some(OsStr::new("-")) {
        announce();
    }
    std::panic::set_hook(Box::new(move |panic| {
        print_result(failure(&panic_message(name, panic)));
        std::process::exit(1);
    }));
    if let Some(text) = argument.as_deref().and_then(OsStr::to_str).and_then(|it| help::answer(module, it)) {
        return write(&text);
    }
    limit::watch(module.limit, move |seconds| {
        print_result(failure(&format!(
            "{name} was not done after {seconds} s and was stopped: see what hangs on this host, or give the task a longer \
             `timeout`"
        )));
    });
    match argument.context("no arguments file given; see --help").and_then(|it| answer(module, &it)) {
        Ok(outcome) => print_result(json!(outcome)),
        Err(error) => {
            let mut result = failure(&format!("{error:#}"));
            if let (Some(more), Value::Object(result)) = (error.downcast_ref::<Failure>(), &mut result) {
                result.extend(more.values.clone());
            }
            print_result(result);
            ExitCode::FAILURE
        }
    }
}

/// Says on standard error that the module runs, with the nonce of whoever started it: as long as this
/// line has not been seen, the module has certainly done nothing.
fn announce() {
    if let Ok(nonce) = std::env::var("MINICLUSTER_NONCE")
        && !nonce.is_empty()
        && nonce.bytes().all(|it| it.is_ascii_hexdigit())
    {
        // One write, so that nothing comes between. Whoever does not listen for it does not need it.
        let _ = std::io::stderr().write_all(format!("minicluster-started {nonce}\n").as_bytes());
    }
}

fn answer(module: &Described, argument: &OsStr) -> Result<Outcome> {
    let mut given = read(argument)?;
    let task = internals(&mut given);
    let ignore_unknown = given.remove("_ansible_ignore_unknown_opts") == Some(Value::Bool(true));
    given.retain(|name, _| !name.starts_with("_ansible_"));

    let spec = &module.spec;
    if ignore_unknown {
        given.retain(|name, _| spec.0.iter().any(|(known, _)| known == name));
    }
    *SECRETS.lock().unwrap_or_else(PoisonError::into_inner) = no_log::collect(spec, &given);
    let converted = match convert::convert(spec, given) {
        Ok(converted) => converted,
        Err(mistakes) => bail!(mistakes.join("\n")),
    };
    let mut outcome = (module.work)(Value::Object(converted), &task)?;
    if !task.diff {
        outcome.diff.clear();
    }
    Ok(outcome)
}

fn read(argument: &OsStr) -> Result<Map<String, Value>> {
    let name = argument.display();
    let mut text = Vec::new();
    if argument == "-" {
        std::io::stdin().read_to_end(&mut text).context("cannot read arguments from standard input")?;
    } else {
        text = files::content(argument).with_context(|| format!("cannot read the arguments file {name}"))?;
    }
    // Not the parser's own message alone: it must be clear whose JSON it is. It quotes no values.
    serde_json::from_slice(&text).with_context(|| format!("the arguments ({name}) are not a JSON object"))
}

/// What Ansible says of the task (`_ansible_*`).
fn internals(given: &mut Map<String, Value>) -> Task {
    let flag = |name: &str| given.get(name).and_then(Value::as_bool).unwrap_or_default();
    let verbosity = given.get("_ansible_verbosity").and_then(Value::as_u64).unwrap_or_default();
    Task {
        check_mode: flag("_ansible_check_mode"),
        // A task with no_log has nothing to show.
        diff: flag("_ansible_diff") && !flag("_ansible_no_log"),
        verbosity: u8::try_from(verbosity).unwrap_or(u8::MAX),
    }
}

pub(super) fn failure(message: &str) -> Value {
    json!({"failed": true, "msg": message})
}

fn panic_message(module: &str, panic: &PanicHookInfo) -> String {
    let payload = panic.payload();
    let reason = payload.downcast_ref::<&str>().copied();
    let reason =
        reason.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given");
    let place = panic.location().map_or_else(String::new, |it| format!(" at {}:{}", it.file(), it.line()));
    format!("{module} had an internal error{place}: {reason}. Please report this; running it again is safe.")
}

/// The thread that answers: the one that was done first, or found that there is no time left.
static ANSWERING: OnceLock<ThreadId> = OnceLock::new();

pub(super) fn print_result(result: Value) -> ExitCode {
    let own = thread::current().id();
    if *ANSWERING.get_or_init(|| own) != own {
        // The other one ends the process.
        loop {
            thread::park();
        }
    }
    // In a panic the lock may be held by this very thread: better to say nothing of the cause than a secret.
    let mut result = match SECRETS.try_lock() {
        Ok(secrets) => no_log::scrub(result, &secrets),
        Err(_) => failure("the module stopped while it read its arguments"),
    };
    make_printable(&mut result);
    write(&format!("{result}\n"))
}

fn write(text: &str) -> ExitCode {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
