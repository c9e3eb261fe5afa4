//! [`Local`] at work: starts workers, waits for them and stops them.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::Local;
use super::worker::{FOLDER, Note, Orphan, Worker, can_tie, held, signal};
use crate::files::create_folder;
use crate::jobs::lock::{is_held, lock_folder, try_lock};
use crate::jobs::outcome::length;
use crate::jobs::{ExecutorError, Failure, Job, JobId, Outcome, Pool, State, quote_command};

/// [`Local`] at work.
#[derive(Debug)]
pub(in crate::jobs) struct LocalPool {
    config: Local,
    /// Whether the system asks workers to stop when this process dies.
    tied: bool,
    folder: PathBuf,
    _driver: File,
    orphans: Vec<Orphan>,
    queue: VecDeque<Job>,
    workers: Vec<Worker>,
    ended: Vec<(JobId, Outcome)>,
}

impl LocalPool {
    pub(super) fn open(config: &Local, home: &Path) -> Result<Self, ExecutorError> {
        let folder = home.join(FOLDER);
        let driver = lock_folder(&folder.join("driver.lock"), home)?;
        let orphans = held(&folder).into_iter().map(Orphan::take_over);
        Ok(Self {
            config: config.clone(),
            tied: can_tie(),
            orphans: orphans.collect::<Result<_, _>>()?,
            folder,
            _driver: driver,
            queue: VecDeque::new(),
            workers: Vec::new(),
            ended: Vec::new(),
        })
    }

    fn grace(&self) -> Duration {
        Duration::from_secs_f64(self.config.grace)
    }

    /// Takes in what has ended, and kills what takes too long to stop.
    fn reap(&mut self) {
        let grace = self.grace();
        for orphan in &self.orphans {
            if let Some(pid) = orphan.pid.filter(|_| orphan.since.elapsed() > grace) {
                signal(pid, Signal::KILL);
            }
        }
        self.orphans.retain(|orphan| is_held(&orphan.lock));
        let ended = &mut self.ended;
        self.workers.retain_mut(|worker| {
            if worker.stopping.is_some_and(|since| since.elapsed() > grace) {
                signal(worker.child.id(), Signal::KILL);
            }
            let outcome = match worker.child.try_wait() {
                Ok(None) => return true,
                Ok(Some(status)) => worker.outcome(status),
                Err(why) => {
                    let cause = format!("cannot wait for its process: {why}");
                    Outcome::Failed(Failure::new(cause, &worker.log, worker.log_from))
                }
            };
            if is_held(&worker.lock) {
                // Processes that it started outlive it.
                signal(worker.child.id(), Signal::KILL);
            }
            ended.push((worker.id.clone(), outcome));
            false
        });
    }

    /// Starts queued jobs while there are slots. A job whose previous worker is alive waits for its end.
    fn start_queued(&mut self) {
        for job in std::mem::take(&mut self.queue) {
            if self.free() == 0 {
                self.queue.push_back(job);
                continue;
            }
            let lock = self.folder.join(format!("{}.lock", job.id));
            let held = try_lock(&lock).map_err(Into::into);
            match held.and_then(|held| held.map(|file| self.start(&job, &lock, file)).transpose()) {
                Ok(Some(worker)) => self.workers.push(worker),
                Ok(None) => self.queue.push_back(job),
                Err(why) => {
                    let failure = Failure {
                        cause: format!("it cannot start: {why}"),
                        tail: String::new(),
                    };
                    self.ended.push((job.id, Outcome::Failed(failure)));
                }
            }
        }
    }

    fn start(
        &self,
        job: &Job,
        lock: &Path,
        mut held: File,
    ) -> Result<Worker, Box<dyn std::error::Error>> {
        let taken = |slot: &usize| self.workers.iter().any(|worker| worker.slot == *slot);
        let slot = (0..).find(|slot| !taken(slot)).unwrap_or_default();
        if let Some(folder) = job.log.parent() {
            create_folder(folder)?;
        }
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&job.log)?;
        let words = self.words(job, slot);
        let (program, arguments) = words.split_first().ok_or("the command line is empty")?;
        let line = quote_command(&words).unwrap_or_default();
        writeln!(log, "$ {}", line.to_string_lossy())?;
        let log_from = length(&job.log);
        // Past the end of the file: a program that reads it as input finds nothing.
        held.seek(SeekFrom::Start(u32::MAX.into()))?;
        let _ = std::fs::remove_file(Note::path(lock));
        let child = Command::new(program)
            .args(arguments)
            .env("RAYON_NUM_THREADS", self.config.thread_count().to_string())
            .stdin(Stdio::from(held))
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: Ctrl-C in the terminal reaches this process, which stops its workers.
            .process_group(0)
            .spawn()?;
        let note = Note {
            job: job.id.clone(),
            pid: child.id(),
            told: self.tied,
        };
        let (id, log, lock) = (job.id.clone(), job.log.clone(), lock.to_owned());
        let mut worker = Worker {
            id,
            log,
            log_from,
            lock,
            child,
            slot,
            stopping: None,
        };
        if let Err(why) = note.write(&worker.lock) {
            signal(worker.child.id(), Signal::KILL);
            let _ = worker.child.wait();
            return Err(why.into());
        }
        Ok(worker)
    }

    /// The job's command line, wrapped in commands that limit its memory and tie it to this process.
    fn words(&self, job: &Job, slot: usize) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(gib) = self.config.memory {
            let kib = (gib * 1024.0 * 1024.0).ceil().to_string();
            let limit = r#"ulimit -d "$1" && shift && exec "$@""#;
            words.extend(["sh", "-c", limit, "sh", &kib].map(OsString::from));
        }
        if self.tied {
            words.extend(["setpriv", "--pdeathsig", "TERM", "--"].map(OsString::from));
        }
        words.extend(job.command.iter().cloned());
        words.extend(["--device", self.config.device(slot)].map(OsString::from));
        words
    }

    fn free(&self) -> usize {
        self.config
            .workers
            .saturating_sub(self.workers.len() + self.orphans.len())
    }
}

impl Pool for LocalPool {
    fn submit(&mut self, jobs: Vec<Job>) -> Result<(), ExecutorError> {
        for job in jobs {
            let runs = |worker: &Worker| worker.id == job.id && worker.stopping.is_none();
            if !self.queue.iter().any(|queued| queued.id == job.id)
                && !self.workers.iter().any(runs)
            {
                self.queue.push_back(job);
            }
        }
        self.start_queued();
        Ok(())
    }

    fn poll(&mut self) -> Result<Vec<(JobId, Outcome)>, ExecutorError> {
        self.reap();
        self.start_queued();
        Ok(std::mem::take(&mut self.ended))
    }

    fn states(&self) -> Vec<(JobId, State)> {
        let queued = self
            .queue
            .iter()
            .map(|job| (job.id.clone(), State::Pending(String::new())));
        let working = self.workers.iter().map(|worker| {
            let place = || {
                format!(
                    "process {}, {}",
                    worker.child.id(),
                    self.config.device(worker.slot)
                )
            };
            let state = worker
                .stopping
                .map_or_else(|| State::Running(place()), |_| State::Stopping);
            (worker.id.clone(), state)
        });
        let ended = self
            .ended
            .iter()
            .map(|(id, outcome)| (id.clone(), State::Ended(outcome.clone())));
        working.chain(queued).chain(ended).collect()
    }

    fn stop(&mut self, id: &JobId) -> Result<(), ExecutorError> {
        let queued = self.queue.len();
        self.queue.retain(|job| job.id != *id);
        if self.queue.len() < queued {
            self.ended.push((id.clone(), Outcome::Stopped));
        }
        self.workers
            .iter_mut()
            .filter(|worker| worker.id == *id)
            .for_each(Worker::stop);
        Ok(())
    }

    fn stop_all(&mut self) -> Result<(), ExecutorError> {
        let queued = std::mem::take(&mut self.queue);
        self.ended
            .extend(queued.into_iter().map(|job| (job.id, Outcome::Stopped)));
        self.workers.iter_mut().for_each(Worker::stop);
        while !self.workers.is_empty() {
            std::thread::sleep(Duration::from_millis(20));
            self.reap();
        }
        Ok(())
    }

    fn free_slots(&self) -> usize {
        self.free().saturating_sub(self.queue.len())
    }
}

impl Drop for LocalPool {
    /// Workers do not outlast their pool.
    fn drop(&mut self) {
        let _ = self.stop_all();
    }
}
