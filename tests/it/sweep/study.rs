//! The study's record: what it holds, and that a sweep killed at any moment resumes as if it had not been killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use calvaria::layout::SweepFolder;
use calvaria::sweep::event::{Entry, Event};
use calvaria::sweep::study::Decision;
use calvaria::sweep::{
    Definition, History, Next, RunKey, Status, Stop, Study, Sweep, SweepError, TrialStart,
};
use serde_yaml::Value;

fn sweep(more: &str) -> Sweep {
    let yaml = format!(
        "
name: test
experiment: a.yaml
space:
  loss: {{choice: [dice, focal]}}
  loss.focal.gamma: {{uniform: [0.5, 4], when: {{loss: focal}}}}
  rate: {{log_uniform: [1.0e-4, 1.0e-2]}}
{more}"
    );
    serde_yaml::from_str(&yaml).unwrap()
}

fn definition(more: &str) -> Definition {
    let part = |fold| RunKey {
        seed: 1,
        fold: Some(fold),
    };
    let experiment = serde_yaml::from_str("{train: {epochs: 8}}").unwrap();
    Definition {
        sweep: sweep(more),
        parts: vec![part(0), part(1)],
        experiment,
    }
}

const ASHA: &str = "
sampler: {tpe: {startup: 4}}
pruner: {asha: {rungs: [2, 4], reduction: 2}}
budget: {trials: 10, failures: 3}";

const RECORD: &str = SweepFolder::RECORD;

const EPOCHS: usize = 5;

/// The objective that a trial would have after an epoch.
fn metric(trial: &TrialStart, part: RunKey, epoch: usize) -> f64 {
    let number = |key: &str| trial.assignment.get(key).and_then(Value::as_f64);
    let rate = (number("rate").unwrap().log10() + 3.0).abs();
    let gamma = number("loss.focal.gamma").map_or(0.3, |gamma| 0.1 * (gamma - 2.0).abs());
    let fold = 0.05 * part.fold.unwrap() as f64;
    (1.0 - 0.3 * rate - gamma - fold) * (1.0 - 0.5_f64.powi(epoch as i32))
}

/// Runs a trial as one worker does: its folds one after the other, from their first epochs on.
fn run(study: &mut Study, trial: &TrialStart, parts: &[RunKey]) -> Result<(), SweepError> {
    // Where epochs decide nothing, one is enough.
    let by_epoch = study.history().definition.sweep.pruner.decides_by_epoch();
    let epochs = if by_epoch { EPOCHS } else { 1 };
    for part in parts {
        for epoch in 1..=epochs {
            if trial.number == 5 && epoch == epochs.min(3) {
                return study.fail(trial.number, "CUDA out of memory");
            }
            let value = metric(trial, *part, epoch);
            if study.report(trial.number, *part, epoch, value)? == Decision::Stop {
                return Ok(());
            }
        }
        let objectives = study.history().definition.sweep.objective.len();
        let values = [
            metric(trial, *part, EPOCHS),
            1.0 + f64::from(trial.number as u32 % 3),
        ];
        let values = values[..objectives].to_vec();
        if study.end_run(trial.number, *part, values)? == Decision::Stop {
            return Ok(());
        }
    }
    study.finish(trial.number).map(drop)
}

/// Works on a study until it stops.
fn work(folder: &Path, definition: &Definition) -> Stop {
    let mut study = open(folder, definition).unwrap();
    loop {
        match study.next(&[]).unwrap() {
            Next::Run(trial) => run(&mut study, &trial, &definition.parts).unwrap(),
            Next::Stop(stop) => return stop,
        }
    }
}

fn lines(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(RECORD)).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// What happened, without the times, without when processes took the study up and handed interrupted trials out
/// again.
fn events(folder: &Path) -> Vec<Event> {
    let parse = |line: &String| serde_json::from_str::<Entry>(line).unwrap().event;
    let matters = |event: &Event| match event {
        Event::Opened { .. } => false,
        Event::Started { attempt, .. } => *attempt == 1,
        _ => true,
    };
    lines(folder).iter().map(parse).filter(matters).collect()
}

/// As another process would open it. A program that another test is about to start holds what this process had
/// open until it runs, locks too.
fn open(folder: &Path, definition: &Definition) -> Result<Study, SweepError> {
    let start = Instant::now();
    loop {
        match Study::open(folder, definition) {
            Err(SweepError::Locked { .. }) if start.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

fn path(folder: &tempfile::TempDir) -> std::path::PathBuf {
    folder.path().join(RECORD)
}

#[test]
fn a_sweep_cut_off_at_any_line_makes_the_same_decisions_as_one_that_was_not() {
    let by_epoch = definition(ASHA);
    cut_off_at_any_line(&by_epoch, |event| {
        matches!(event, Event::Decided { stop: true, .. })
    });
    cut_off_at_any_line(&by_run(5), |event| {
        matches!(event, Event::Compared { stop: true, .. })
    });
    let two =
        definition("objective: [dice, time]\nsampler: {tpe: {startup: 4}}\nbudget: {trials: 10}");
    cut_off_at_any_line(&two, |event| matches!(event, Event::Scored { .. }));
}

/// Trials of this many runs, compared whenever one has ended.
fn by_run(count: usize) -> Definition {
    let yaml =
        "objective: dice\nsampler: {tpe: {startup: 4}}\npruner: wilcoxon\nbudget: {trials: 10}";
    let part = |fold| RunKey {
        seed: 1,
        fold: Some(fold),
    };
    Definition {
        parts: (0..count).map(part).collect(),
        ..definition(yaml)
    }
}

fn cut_off_at_any_line(definition: &Definition, matters: fn(&Event) -> bool) {
    let whole = tempfile::tempdir().unwrap();
    assert_eq!(work(whole.path(), definition), Stop::Trials(10));
    let (expected, record) = (events(whole.path()), lines(whole.path()));
    let count = |is: fn(&Event) -> bool| expected.iter().filter(|event| is(event)).count();
    assert!(count(matters) > 2);
    assert!(count(|event| matches!(event, Event::Finished { .. })) > 1);
    assert_eq!(count(|event| matches!(event, Event::Failed { .. })), 1);
    for kept in 0..record.len() {
        let folder = tempfile::tempdir().unwrap();
        let mut text: String = record[..kept]
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        // The next line was being written.
        text.push_str(&record[kept][..record[kept].len() * (kept % 3) / 2]);
        std::fs::write(path(&folder), text).unwrap();
        assert_eq!(work(folder.path(), definition), Stop::Trials(10));
        assert_eq!(events(folder.path()), expected, "cut off after line {kept}");
    }
}

/// At parallelism 3: of all trials that run, the one that has come least far advances by an epoch.
fn work_in_parallel(folder: &Path, definition: &Definition) {
    let mut study = open(folder, definition).unwrap();
    let mut running: BTreeMap<usize, (TrialStart, usize)> = BTreeMap::new();
    loop {
        while running.len() < 3 {
            let numbers: Vec<usize> = running.keys().copied().collect();
            match study.next(&numbers).unwrap() {
                Next::Run(trial) => running.insert(trial.number, (trial, 0)),
                Next::Stop(_) => break,
            };
        }
        let Some((&number, _)) = running
            .iter()
            .min_by_key(|(number, (_, epoch))| (*epoch, **number))
        else {
            return;
        };
        let (trial, epoch) = running.get_mut(&number).unwrap();
        *epoch += 1;
        let (trial, epoch) = (trial.clone(), *epoch);
        let report = |part: &RunKey| {
            study
                .report(number, *part, epoch, metric(&trial, *part, epoch))
                .unwrap()
        };
        let decisions: Vec<Decision> = definition.parts.iter().map(report).collect();
        if decisions.contains(&Decision::Stop) {
            running.remove(&number);
        } else if epoch == EPOCHS {
            study.finish(number).unwrap();
            running.remove(&number);
        }
    }
}

#[test]
fn every_proposal_follows_from_the_results_that_the_record_says_it_saw() {
    let definition = definition(ASHA);
    let folder = tempfile::tempdir().unwrap();
    work_in_parallel(folder.path(), &definition);
    let record = lines(folder.path());
    let mut with_others_running = 0;
    for (index, event) in record
        .iter()
        .map(|line| serde_json::from_str::<Entry>(line).unwrap().event)
        .enumerate()
    {
        let Event::Proposed {
            trial,
            parameters,
            seen,
        } = event
        else {
            continue;
        };
        // The study as it was, from the lines before.
        let before = tempfile::tempdir().unwrap();
        std::fs::write(path(&before), record[..index].join("\n") + "\n").unwrap();
        let history = History::read(&path(&before)).unwrap();
        let unfinished = |number: &usize| history.trials[*number].status == Status::Unfinished;
        assert!(seen.running.iter().all(unfinished) && !seen.ended.iter().any(unfinished));
        assert_eq!(seen.running.len() + seen.ended.len(), trial);
        with_others_running += usize::from(!seen.running.is_empty());
        let Sweep {
            sampler,
            space,
            seed,
            ..
        } = &history.definition.sweep;
        assert_eq!(
            sampler
                .propose(space, *seed, trial, &history.observations())
                .unwrap(),
            parameters
        );
    }
    assert!(with_others_running > 5);
}

#[test]
fn finished_trials_are_not_run_again_and_interrupted_ones_keep_their_number() {
    let definition = definition("sampler: random\nbudget: {trials: 3}");
    let folder = tempfile::tempdir().unwrap();
    let (finished, interrupted) = {
        let mut study = open(folder.path(), &definition).unwrap();
        let Next::Run(first) = study.next(&[]).unwrap() else {
            panic!()
        };
        run(&mut study, &first, &definition.parts).unwrap();
        let Next::Run(second) = study.next(&[]).unwrap() else {
            panic!()
        };
        study
            .report(second.number, definition.parts[0], 1, 0.5)
            .unwrap();
        (first, second)
    };
    let mut study = open(folder.path(), &definition).unwrap();
    let Next::Run(again) = study.next(&[]).unwrap() else {
        panic!()
    };
    assert_eq!((again.number, again.attempt), (interrupted.number, 2));
    assert_eq!(again.overrides, interrupted.overrides);
    // While it runs, a new one is proposed.
    let Next::Run(third) = study.next(&[again.number]).unwrap() else {
        panic!()
    };
    assert_eq!((third.number, third.attempt), (2, 1));
    assert_eq!(study.next(&[1, 2]).unwrap(), Next::Stop(Stop::Trials(3)));
    // Sent back to the queue, it is handed out a third time.
    study.requeue(1, "time limit").unwrap();
    let Next::Run(requeued) = study.next(&[2]).unwrap() else {
        panic!()
    };
    assert_eq!((requeued.number, requeued.attempt), (1, 3));
    // What has ended stays as it is.
    let length = lines(folder.path()).len();
    assert_eq!(
        study
            .report(finished.number, definition.parts[0], 1, 0.0)
            .unwrap(),
        Decision::Stop
    );
    study.fail(finished.number, "too late").unwrap();
    assert!(matches!(
        study.finish(finished.number).unwrap(),
        Status::Finished { .. }
    ));
    assert_eq!(lines(folder.path()).len(), length);
}

#[test]
fn a_trial_is_compared_with_the_best_one_run_by_run_whichever_ends_first() {
    let definition = by_run(8);
    let folder = tempfile::tempdir().unwrap();
    let mut study = open(folder.path(), &definition).unwrap();
    // The folds differ more than the trials do.
    let value = |trial: usize, run: usize| 0.5 + 0.05 * run as f64 - 0.01 * trial as f64;
    let orders = [[0, 1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 0, 1, 2, 3]];
    let mut ended = Vec::new();
    for (trial, order) in orders.into_iter().enumerate() {
        study.next(&[]).unwrap();
        let mut stops = |run: &&usize| {
            let part = definition.parts[**run];
            let decision = study.end_run(trial, part, vec![value(trial, **run)]);
            decision.unwrap() == Decision::Stop
        };
        ended.push(order.iter().position(|run| stops(&run)));
        study.finish(trial).unwrap();
    }
    assert_eq!(ended, [None, Some(6)], "the easy folds end first");
    let Status::Pruned { after, value } = study.history().trials[1].status else {
        panic!()
    };
    assert_eq!(after.to_string(), "7 runs");
    assert!(
        (value - (0.49 + 0.05 * 25.0 / 7.0)).abs() < 1e-12,
        "{value}"
    );
    let best = events(folder.path())
        .into_iter()
        .find_map(|event| match event {
            Event::Compared {
                best, p, runs: 7, ..
            } => Some((best, p)),
            _ => None,
        });
    assert_eq!(best, Some((0, 1.0 / 128.0)));
}

#[test]
fn an_infinite_distance_is_the_worst_and_no_failure() {
    let definition = definition("objective: hd95\nsampler: random\nbudget: {trials: 3}");
    let folder = tempfile::tempdir().unwrap();
    let mut study = open(folder.path(), &definition).unwrap();
    for values in [[f64::INFINITY, 2.0], [3.0, 4.0]] {
        let Next::Run(trial) = study.next(&[]).unwrap() else {
            panic!()
        };
        for (part, value) in definition.parts.iter().zip(values) {
            study.end_run(trial.number, *part, vec![value]).unwrap();
        }
        study.finish(trial.number).unwrap();
    }
    let history = History::read(&path(&folder)).unwrap();
    assert_eq!(&history, study.history());
    let rows = history.leaderboard();
    let order: Vec<_> = rows
        .iter()
        .map(|row| (row.trial.number, row.value))
        .collect();
    assert_eq!(order, [(1, Some(3.5)), (0, Some(f64::INFINITY))]);
    assert_eq!(history.best().unwrap().number, 1);
    let mut table = Vec::new();
    history.write_csv(&mut table).unwrap();
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains("\n2,0,finished,inf,,,,0,1,"), "{table}");
    assert!(history.importances(0).is_err());
}

#[test]
fn two_objectives_have_a_front_instead_of_a_best_trial() {
    let definition = definition("objective: [dice, time]\nsampler: random\nbudget: {trials: 5}");
    let folder = tempfile::tempdir().unwrap();
    let mut study = open(folder.path(), &definition).unwrap();
    for values in [
        [0.5, 30.0],
        [0.9, 60.0],
        [0.4, 40.0],
        [0.7, 30.0],
        [0.7, 20.0],
    ] {
        let Next::Run(trial) = study.next(&[]).unwrap() else {
            panic!()
        };
        for part in &definition.parts {
            study.end_run(trial.number, *part, values.to_vec()).unwrap();
        }
        study.finish(trial.number).unwrap();
    }
    let history = History::read(&path(&folder)).unwrap();
    assert_eq!(&history, study.history());
    assert_eq!(history.best(), None);
    let rows = history.leaderboard();
    let places = rows.iter();
    let places: Vec<_> = places
        .map(|row| (row.trial.number, row.rank.unwrap(), row.is_on_front))
        .collect();
    assert_eq!(
        places,
        [
            (1, 1, true),
            (4, 1, true),
            (3, 2, false),
            (0, 3, false),
            (2, 4, false)
        ]
    );
    assert_eq!(
        rows[0].values_in_words(&history),
        "dice 0.9000, time 60.0000"
    );
    let mut table = Vec::new();
    history.write_csv(&mut table).unwrap();
    let table = String::from_utf8(table).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        lines[0],
        "rank,trial,status,pareto,dice,dice sd,dice low,dice high,time,time sd,time low,time high,epochs,attempts,\
         loss,loss.focal.gamma,rate,dice seed-1/fold-0,dice seed-1/fold-1,time seed-1/fold-0,time seed-1/fold-1,error"
    );
    assert!(lines[1].starts_with("1,1,finished,yes,0.9,0,0.9,0.9,60,0,60,60,0,1,"));
    assert!(lines[1].ends_with(",0.9,0.9,60,60,"), "{}", lines[1]);
    assert!(lines[3].starts_with("2,3,finished,no,"));
}

/// What the pruner decided: value, cutoff and the trials compared.
fn decided(folder: &Path) -> Vec<(f64, f64, Vec<usize>)> {
    let all = events(folder).into_iter();
    let decided = all.filter_map(|event| match event {
        Event::Decided {
            value,
            cutoff,
            compared,
            ..
        } => Some((value.unwrap(), cutoff.unwrap(), compared)),
        _ => None,
    });
    decided.collect()
}

#[test]
fn trials_are_compared_once_and_on_their_first_part_whichever_runs_faster() {
    let yaml = "sampler: random\npruner: {asha: {rungs: [2], reduction: 2}}\nbudget: {trials: 9}";
    let definition = definition(yaml);
    let [first, second] = definition.parts[..] else {
        panic!()
    };
    let values = [[0.5, 0.9], [0.6, 0.1], [0.4, 1.0]];
    // One part after the other, both together, and the second ahead.
    let orders = [
        [(first, 1), (first, 2), (second, 1), (second, 2)],
        [(first, 1), (second, 1), (second, 2), (first, 2)],
        [(second, 1), (second, 2), (first, 1), (first, 2)],
    ];
    for order in orders {
        let folder = tempfile::tempdir().unwrap();
        let mut study = open(folder.path(), &definition).unwrap();
        let mut stopped = Vec::new();
        for value in values {
            let Next::Run(trial) = study.next(&[0, 1, 2]).unwrap() else {
                panic!()
            };
            let stops = order.iter().any(|(part, epoch)| {
                let value = value[usize::from(*part == second)];
                study.report(trial.number, *part, *epoch, value).unwrap() == Decision::Stop
            });
            stopped.push(stops);
        }
        assert_eq!(stopped, [false, false, true], "{order:?}");
        let expected = [
            (0.5, 0.5, vec![]),
            (0.6, 0.6, vec![0]),
            (0.4, 0.6, vec![0, 1]),
        ];
        assert_eq!(decided(folder.path()), expected, "{order:?}");
    }
}

#[test]
fn failed_trials_begin_anew_when_asked_and_count_no_longer() {
    let definition = definition("sampler: random\nbudget: {trials: 2, failures: 1}");
    let folder = tempfile::tempdir().unwrap();
    let mut study = open(folder.path(), &definition).unwrap();
    study.next(&[]).unwrap();
    study.report(0, definition.parts[0], 1, f64::NAN).unwrap();
    study.fail(0, "the disk is full").unwrap();
    assert_eq!(study.next(&[]).unwrap(), Next::Stop(Stop::Failures(1)));
    assert_eq!(study.retry_failed().unwrap(), 1);
    assert_eq!(study.history().trials[0].reached(), 0);
    drop(study);
    let mut study = open(folder.path(), &definition).unwrap();
    let Next::Run(again) = study.next(&[]).unwrap() else {
        panic!()
    };
    assert_eq!((again.number, again.attempt), (0, 2));
    assert_eq!(study.retry_failed().unwrap(), 0);
}

#[test]
fn a_record_that_does_not_say_which_trials_were_compared_is_read() {
    let line = r#"{"at":0,"event":"decided","trial":0,"epoch":2,"stop":false,"value":0.5,"cutoff":null,"rivals":3}"#;
    let entry: Entry = serde_json::from_str(line).unwrap();
    assert!(
        matches!(entry.event, Event::Decided { rivals: 3, compared, .. } if compared.is_empty())
    );
}

#[test]
fn reporting_again_what_was_reported_writes_nothing() {
    let definition = definition("sampler: random\nbudget: {trials: 3}");
    let folder = tempfile::tempdir().unwrap();
    let mut study = open(folder.path(), &definition).unwrap();
    study.next(&[]).unwrap();
    for value in [0.1 + 0.2, f64::NAN] {
        let mut length = 0;
        for _ in 0..2 {
            study.report(0, definition.parts[0], 1, value).unwrap();
            assert!(length == 0 || lines(folder.path()).len() == length);
            length = lines(folder.path()).len();
        }
    }
}

#[test]
fn a_part_without_a_number_fails_the_trial_with_a_reason() {
    let definition = definition("sampler: random\nbudget: {trials: 9}");
    let folder = tempfile::tempdir().unwrap();
    let mut study = open(folder.path(), &definition).unwrap();
    let [first, second] = definition.parts[..] else {
        panic!()
    };
    let mut end = |values: &[(RunKey, f64)]| {
        let Next::Run(trial) = study.next(&[]).unwrap() else {
            panic!()
        };
        for (part, value) in values {
            study.report(trial.number, *part, 1, *value).unwrap();
        }
        study.finish(trial.number).unwrap().clone()
    };
    let failed = |error: &str| Status::Failed {
        error: error.into(),
    };
    assert_eq!(
        end(&[(first, 0.5)]),
        failed("seed-1/fold-1 has no validation_iou")
    );
    assert_eq!(
        end(&[(first, 0.5), (second, f64::NAN)]),
        failed("validation_iou of seed-1/fold-1 is not a number")
    );
    assert_eq!(
        end(&[(first, 0.5), (second, 0.75)]),
        Status::Finished {
            value: 0.625,
            parts: vec![0.5, 0.75],
            second: None
        }
    );
}

#[test]
fn too_many_failures_and_too_many_hours_stop_the_sweep() {
    let definition_ = definition("sampler: random\nbudget: {trials: 9, failures: 2}");
    let folder = tempfile::tempdir().unwrap();
    let mut study = open(folder.path(), &definition_).unwrap();
    for _ in 0..2 {
        let Next::Run(trial) = study.next(&[]).unwrap() else {
            panic!()
        };
        study.fail(trial.number, "no").unwrap();
    }
    assert_eq!(study.next(&[]).unwrap(), Next::Stop(Stop::Failures(2)));
    drop(study);
    // An hour of work, a day of nothing, and half an hour of work.
    let mut lines = lines(folder.path());
    lines.truncate(3);
    lines.push(
        r#"{"at":0,"event":"opened","version":"1","budget":{"failures":9},"parallelism":1}"#.into(),
    );
    lines.push(r#"{"at":0,"event":"failed","trial":0,"error":"no"}"#.into());
    let retimed =
        |(line, at): (&String, u32)| format!("{{\"at\":{at},{}\n", line.split_once(',').unwrap().1);
    let text: String = lines
        .iter()
        .zip([0, 600, 3600, 90_000, 91_800])
        .map(retimed)
        .collect();
    std::fs::write(path(&folder), text).unwrap();
    assert_eq!(
        History::read(&path(&folder)).unwrap().usage(None).hours,
        1.5
    );
    let shorter = definition("sampler: random\nbudget: {hours: 1.4}");
    assert_eq!(work(folder.path(), &shorter), Stop::Hours(1.4));
}

#[test]
fn a_torn_last_line_is_dropped_and_said() {
    let definition = definition(ASHA);
    let folder = tempfile::tempdir().unwrap();
    work(folder.path(), &definition);
    let text = std::fs::read_to_string(path(&folder)).unwrap();
    let count = text.lines().count();
    std::fs::write(path(&folder), text + "{\"at\": 1, \"event\": \"fai").unwrap();
    assert_eq!(History::read(&path(&folder)).unwrap().trials.len(), 10);
    let study = open(folder.path(), &definition).unwrap();
    assert!(
        study.notices()[0].contains(&format!("{RECORD}:{}", count + 1)),
        "{:?}",
        study.notices()
    );
    drop(study);
    assert!(
        open(folder.path(), &definition)
            .unwrap()
            .notices()
            .is_empty()
    );
}

/// The error when line `number` of a whole record reads otherwise.
fn damage(number: usize, change: impl Fn(&str) -> String) -> String {
    let definition = definition(ASHA);
    let folder = tempfile::tempdir().unwrap();
    work(folder.path(), &definition);
    let mut lines = lines(folder.path());
    lines[number - 1] = change(&lines[number - 1]);
    std::fs::write(path(&folder), lines.join("\n") + "\n").unwrap();
    let before = std::fs::read(path(&folder)).unwrap();
    let error = open(folder.path(), &definition).unwrap_err();
    assert_eq!(
        std::fs::read(path(&folder)).unwrap(),
        before,
        "the record was touched"
    );
    assert!(
        matches!(error, SweepError::Damaged { line, .. } if line == number),
        "{error}"
    );
    error.to_string()
}

#[test]
fn damage_anywhere_else_is_an_error_that_names_the_line() {
    assert!(damage(4, |line| line[..line.len() / 2].to_owned()).contains("study.jsonl:4"));
    assert!(damage(2, |_| String::new()).contains("not an event"));
    assert!(
        damage(2, |line| line.replace("\"trial\":0", "\"trial\":7"))
            .contains("trial 7 is proposed after 0")
    );
    assert!(
        damage(3, |line| line.replace("\"trial\":0", "\"trial\":7")).contains("never proposed")
    );
    assert!(damage(4, |line| line.replace("\"seed\":1", "\"seed\":5")).contains("seed-5/fold-0"));
    assert!(
        damage(1, |line| line.replace("dice", "bce"))
            .contains("not the one that the study was begun with")
    );
    assert!(
        damage(1, |_| r#"{"at":0,"event":"started","trial":0,"attempt":1}"#
            .into())
        .contains("`created`")
    );
}

#[test]
fn a_second_process_is_turned_away_and_may_look_on() {
    let definition = definition(ASHA);
    let folder = tempfile::tempdir().unwrap();
    let study = open(folder.path(), &definition).unwrap();
    let error = Study::open(folder.path(), &definition).unwrap_err();
    assert!(matches!(error, SweepError::Locked { .. }));
    assert!(error.to_string().contains("sweep status"));
    assert!(History::read(&path(&folder)).is_ok());
    drop(study);
    assert!(open(folder.path(), &definition).is_ok());
}

#[test]
fn another_definition_is_refused_and_another_budget_is_not() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), &definition(ASHA)).unwrap());
    let mut other = definition(&ASHA.replace("trials: 10", "trials: 20"));
    other.sweep.parallelism = 4;
    other.sweep.executor = serde_yaml::from_str("slurm").unwrap();
    drop(open(folder.path(), &other).unwrap());
    let refused = |definition: Definition, message: &str| {
        let error = open(folder.path(), &definition).unwrap_err();
        assert!(matches!(error, SweepError::Differs { .. }));
        assert!(error.to_string().contains(message), "{error}");
    };
    refused(
        definition(&ASHA.replace("rungs: [2, 4]", "rungs: [2, 5]")),
        "sweep.pruner.asha.rungs was [2,4], is [2,5]",
    );
    let mut reordered = definition(ASHA);
    reordered.sweep.space = serde_yaml::from_str(
        "
rate: {log_uniform: [1.0e-4, 1.0e-2]}
loss: {choice: [dice, focal]}
loss.focal.gamma: {uniform: [0.5, 4], when: {loss: focal}}",
    )
    .unwrap();
    refused(
        reordered,
        "the order of sweep.space was loss, loss.focal.gamma, rate, is rate, loss, loss.focal.gamma",
    );
    let mut longer = definition(ASHA);
    longer.experiment = serde_yaml::from_str("{train: {epochs: 9}}").unwrap();
    refused(longer, "experiment.train.epochs was 8, is 9");
    let mut fewer = definition(ASHA);
    fewer.parts.pop();
    refused(fewer, "parts was");
}

#[test]
fn the_leaderboard_ranks_finished_trials_and_says_how_far_they_spread() {
    let definition = definition(ASHA);
    let folder = tempfile::tempdir().unwrap();
    work(folder.path(), &definition);
    let history = History::read(&path(&folder)).unwrap();
    let rows = history.leaderboard();
    assert_eq!(rows.len(), 10);
    let kinds: Vec<&str> = rows.iter().map(|row| row.trial.status.name()).collect();
    let (finished, rest) = kinds.split_at(kinds.iter().filter(|kind| **kind == "finished").count());
    assert!(finished.iter().all(|kind| *kind == "finished"));
    assert_eq!(rest.last(), Some(&"failed"));
    assert!(
        rows[..finished.len()]
            .windows(2)
            .all(|pair| pair[0].value >= pair[1].value)
    );
    assert_eq!(rows[0].trial.number, history.best().unwrap().number);
    // scipy.stats.t.interval(0.95, 2, 0.8, scipy.stats.sem([0.7, 0.8, 0.9])) of scipy 1.17.1.
    let spread = calvaria::sweep::leaderboard::Spread::of(&[0.7, 0.8, 0.9]).unwrap();
    assert!((spread.sd - 0.1).abs() < 1e-12);
    assert!(
        (spread.interval[0] - 0.5515862289).abs() < 1e-9,
        "{spread:?}"
    );
    assert!((spread.interval[1] - 1.0484137711).abs() < 1e-9);
    assert_eq!(calvaria::sweep::leaderboard::Spread::of(&[0.7]), None);

    let mut table = Vec::new();
    history.write_csv(&mut table).unwrap();
    let mut table = csv::Reader::from_reader(table.as_slice());
    let header: Vec<String> = table.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(
        header.join(","),
        "rank,trial,status,value,sd,low,high,epochs,attempts,loss,loss.focal.gamma,rate,seed-1/fold-0,seed-1/fold-1,error"
    );
    let records: Vec<BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
    assert_eq!(records.len(), 10);
    assert_eq!(records[0]["value"].parse::<f64>().ok(), rows[0].value);
    assert_eq!(records[9]["error"], "CUDA out of memory");
    let dice = records
        .iter()
        .find(|record| record["loss"] == "dice")
        .unwrap();
    assert_eq!(dice["loss.focal.gamma"], "");
}
