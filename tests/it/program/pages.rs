//! `calvaria summary`, `plot` and `check --reference` on made-up results.

use std::fs;
use std::path::Path;

use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::json;

use crate::common::calvaria;

/// The files of a finished run of three epochs, the second of which is best, and of two cases.
fn write_run(folder: &Path, iou: f64) {
    fs::create_dir_all(folder).unwrap();
    let best = iou + 0.01;
    let epochs =
        [iou - 0.1, best, iou].map(|iou| format!("{iou},0.5,{},60,{}", iou + 0.02, iou / 2.0));
    let mut table = String::from(
        "epoch,learning_rate,train_loss,train_iou,train_iou_soft,validation_loss,validation_iou,validation_iou_soft,\
         validation_dice,seconds,validation_sm_iou\n",
    );
    for (epoch, row) in (1..).zip(epochs) {
        table += &format!("{epoch},0.1,1,0.5,0.5,0.3,{row}\n");
    }
    fs::write(folder.join("metrics.csv"), table).unwrap();
    let ious = [iou, iou - 0.2];
    let case = |(name, iou): (&str, f64)| format!("{name},{iou},{},3.5\n", 2.0 * iou / (1.0 + iou));
    let cases: String = ["a", "b"].into_iter().zip(ious).map(case).collect();
    fs::write(
        folder.join("cases.csv"),
        format!("case,iou,dice,hd95\n{cases}"),
    )
    .unwrap();
    let summary = json!({
        "variant": "seed-1", "folder": "elsewhere", "epochs": 3, "best_epoch": 2, "best_iou": best,
        "native_iou": (ious[0] + ious[1]) / 2.0, "cases": 2, "seconds": 180.0
    });
    fs::write(folder.join("summary.json"), summary.to_string()).unwrap();
    let session = |seconds: f64, mib: f64| json!({"wall_seconds": seconds, "cpu_seconds": 2.0 * seconds, "peak_memory_mib": mib});
    let environment =
        json!({"inputs": {}, "sessions": [session(60.0, 500.0), session(120.0, 400.0)]});
    fs::write(folder.join("environment.json"), environment.to_string()).unwrap();
}

fn program(folder: &Path, arguments: &str) -> Assert {
    let arguments = arguments.split(' ');
    calvaria().current_dir(folder).args(arguments).assert()
}

fn printed(done: &Assert) -> String {
    String::from_utf8(done.get_output().stdout.clone()).unwrap()
}

#[test]
fn a_summary_has_a_row_for_each_experiment() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_run(&folder.join("first/seed-1"), 0.8);
    write_run(&folder.join("first/seed-2"), 0.6);
    write_run(&folder.join("second"), 0.9);
    let table = printed(&program(folder, "summary first second").success());
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|row| row.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0].join(" "),
        "experiment runs cases grid IoU grid Dice sm_iou IoU Dice HD95 mm worst IoU min CPU min MiB"
    );
    // Best epochs have 0.81 and 0.61 on the grid; case a has 0.8 and 0.6, case b 0.6 and 0.4.
    let dice = |iou: f64| 2.0 * iou / (1.0 + iou);
    let mean = (dice(0.8) + 2.0 * dice(0.6) + dice(0.4)) / 4.0;
    let expected =
        format!("first 2 2 0.7100 0.7300 0.3550 0.6000 {mean:.4} 3.50 0.5000 b 3.0 6.0 500");
    assert_eq!(rows[1].join(" "), expected);
    assert!(
        rows[2]
            .join(" ")
            .starts_with("second 1 2 0.9100 0.9300 0.4550 0.8000"),
        "{table}"
    );
    program(folder, "summary nowhere")
        .code(2)
        .stderr(contains("nowhere holds no finished run"));
    // Tables that do not give what summary.json says are no results.
    for table in ["metrics.csv", "cases.csv"] {
        let file = folder.join("first/seed-2").join(table);
        let whole = fs::read_to_string(&file).unwrap();
        let head = whole.lines().next().unwrap();
        fs::write(&file, format!("{head}\n")).unwrap();
        program(folder, "summary first")
            .code(2)
            .stderr(contains("seed-2").and(contains("by the tables")));
        fs::write(&file, whole).unwrap();
    }
    // A run that was stopped is told, and not left out.
    fs::create_dir(folder.join("first/seed-3")).unwrap();
    fs::copy(
        folder.join("second/metrics.csv"),
        folder.join("first/seed-3/metrics.csv"),
    )
    .unwrap();
    program(folder, "summary first")
        .code(2)
        .stderr(contains("seed-3 has no summary.json"));
    fs::remove_file(folder.join("second/summary.json")).unwrap();
    program(folder, "summary second")
        .code(2)
        .stderr(contains("second has no summary.json"));
}

#[test]
fn a_figure_shows_the_runs_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_run(&folder.join("first/seed-1"), 0.8);
    write_run(&folder.join("first/seed-2"), 0.6);
    write_run(&folder.join("second"), 0.9);
    let draw = |arguments: &str, out: &str| {
        program(folder, &format!("plot {arguments} -o {out}"))
            .success()
            .stdout(format!("{out}\n"));
        fs::read(folder.join(out)).unwrap()
    };
    let figure = draw("first second --reference 0.86", "new/iou.svg");
    assert!(figure.starts_with(b"<svg"));
    assert_eq!(figure, draw("first second --reference 0.86", "again.svg"));
    for other in [
        "first second",
        "first",
        "second first --reference 0.86",
        "first second --metric validation_sm_iou --reference 0.86",
    ] {
        assert_ne!(figure, draw(other, "other.svg"), "{other}");
    }
    let picture = draw(
        "first --metric validation_sm_iou --against validation_iou",
        "scores.png",
    );
    assert!(picture.starts_with(b"\x89PNG"));
    program(folder, "plot first --metric loss -o a.svg")
        .code(2)
        .stderr(contains("no metric `loss`"));
    program(folder, "plot first -o a.jpg")
        .code(2)
        .stderr(contains(".svg or .png"));
    program(folder, "plot nowhere -o a.svg")
        .code(2)
        .stderr(contains("nowhere holds no run"));
    for reference in ["NaN", "inf", "much"] {
        program(
            folder,
            &format!("plot first -o a.svg --reference {reference}"),
        )
        .code(2)
        .stderr(contains("must be a number"));
    }
    fs::create_dir(folder.join("begun")).unwrap();
    let metrics = fs::read_to_string(folder.join("second/metrics.csv")).unwrap();
    fs::write(
        folder.join("begun/metrics.csv"),
        metrics.lines().next().unwrap(),
    )
    .unwrap();
    program(folder, "plot begun -o a.svg")
        .code(2)
        .stderr(contains("has no epochs"));
    assert!(!folder.join("a.svg").exists() && !folder.join("a.jpg").exists());
    // In per cent by mistake, below 0: the line is drawn all the same.
    assert_ne!(
        draw("first --reference 86", "other.svg"),
        draw("first --reference 87", "another.SVG")
    );
    draw("first --reference -1", "other.svg");
}

#[test]
fn a_page_is_checked_against_what_its_commands_print_and_draw() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_run(&folder.join("first"), 0.8);
    write_run(&folder.join("second"), 0.9);
    let page = "# Results\n\n```console\n$ calvaria summary first \\\n    second\n```\n\nA difference:\n\n```console\n\
                $ calvaria compare first second\n$ calvaria plot first -o figures/iou.svg\n$ calvaria run first.yaml\nnever repeated\n\
                ```\n\n```yaml\n$ calvaria summary nowhere\n```\n";
    fs::write(folder.join("page.md"), page).unwrap();
    let check = |more: &str| program(folder, &format!("check --reference page.md{more}"));
    // Nothing is stored yet.
    let told = printed(&check("").code(1).stderr(contains("3 of 3 commands")));
    assert!(
        told.contains("page.md, line 4: calvaria summary first second")
            && told.contains("+ The data show no"),
        "{told}"
    );
    assert_eq!(fs::read_to_string(folder.join("page.md")).unwrap(), page);
    assert!(!folder.join("figures").exists());
    check(" --write").success();
    let stored = fs::read_to_string(folder.join("page.md")).unwrap();
    assert!(
        stored.contains("    second\nexperiment")
            && stored.contains("figures/iou.svg\nfigures/iou.svg\n$ calvaria run")
    );
    assert!(
        stored.ends_with("never repeated\n```\n\n```yaml\n$ calvaria summary nowhere\n```\n"),
        "{stored}"
    );
    check("").success().stdout(
        contains("3 commands print and draw what the pages show")
            .and(contains("Not repeated").and(contains("calvaria run first.yaml")))
            .and(contains("2 runs: their files agree in 2")),
    );
    check(" --write").success();
    assert_eq!(fs::read_to_string(folder.join("page.md")).unwrap(), stored);
    // A figure that is lost or changed is told, and drawn again when asked for.
    let figure = fs::read(folder.join("figures/iou.svg")).unwrap();
    fs::write(folder.join("figures/iou.svg"), "another").unwrap();
    check("")
        .code(1)
        .stdout(contains("figures/iou.svg looks otherwise"));
    check(" --write").success();
    assert_eq!(fs::read(folder.join("figures/iou.svg")).unwrap(), figure);
    // A result that was changed by hand contradicts the rest.
    let cases = fs::read_to_string(folder.join("first/cases.csv")).unwrap();
    fs::write(
        folder.join("first/cases.csv"),
        cases.replace("a,0.8,", "a,0.81,"),
    )
    .unwrap();
    check("").code(1).stdout(
        contains("native_iou is 0.7")
            .and(contains("case a has an IoU of 0.81"))
            .and(contains("- iou")),
    );
    // A command that fails is told, and nothing is stored of it.
    fs::remove_dir_all(folder.join("second")).unwrap();
    check(" --write")
        .code(1)
        .stdout(contains("second holds no finished run"));
    assert!(
        !fs::read_to_string(folder.join("page.md"))
            .unwrap()
            .contains("error")
    );
}

#[test]
fn a_figure_is_compared_however_the_command_names_it_and_a_page_keeps_its_other_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_run(&folder.join("first"), 0.8);
    let page = |text: &str| fs::write(folder.join("page.md"), text).unwrap();
    let check = |more: &str| program(folder, &format!("check --reference page.md{more}"));
    for form in [
        "-o a.svg",
        "--output a.svg",
        "-o=a.svg",
        "-oa.svg",
        "--output=a.svg",
        "--output='a.svg'",
    ] {
        page(&format!(
            "```console\n$ calvaria plot first {form}\na.svg\n```\n"
        ));
        fs::write(folder.join("a.svg"), "old").unwrap();
        check("").code(1).stdout(contains("a.svg looks otherwise"));
        assert_eq!(fs::read(folder.join("a.svg")).unwrap(), b"old", "{form}");
        check(" --write").success();
        assert_ne!(fs::read(folder.join("a.svg")).unwrap(), b"old", "{form}");
        check("").success();
    }
    // Ends of lines as on Windows, and none at the end; other fences hide what is in them.
    let text = "Windows\r\n\r\n````markdown\r\n```console\r\n$ calvaria summary nowhere\r\n```\r\n````\r\n\r\n~~~~ console title\r\n\
                $ calvaria plot first \\\r\n  -o a.svg\r\nold\r\n~~~~\r\nthe end";
    page(text);
    check(" --write").success();
    assert_eq!(
        fs::read_to_string(folder.join("page.md")).unwrap(),
        text.replace("old", "a.svg")
    );
    check(" --write").success();
    assert_eq!(
        fs::read_to_string(folder.join("page.md")).unwrap(),
        text.replace("old", "a.svg")
    );
}

#[test]
fn mistakes_in_pages_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    program(folder, "check --reference")
        .code(2)
        .stderr(contains("docs/reproduction.md"));
    fs::write(
        folder.join("a.md"),
        "text\n```console\n$ calvaria summary x\n",
    )
    .unwrap();
    program(folder, "check --reference a.md")
        .code(2)
        .stderr(contains("a.md, line 2: the block has no end"));
    fs::write(
        folder.join("a.md"),
        "```console\n$ calvaria summary 'x\n```\n",
    )
    .unwrap();
    program(folder, "check --reference a.md")
        .code(2)
        .stderr(contains("line 2").and(contains("quotation mark")));
    let told = |text: &str, words: [&str; 2]| {
        fs::write(folder.join("a.md"), text).unwrap();
        for write in ["", " --write"] {
            let done = program(folder, &format!("check --reference a.md{write}")).code(2);
            done.stderr(contains(words[0]).and(contains(words[1])));
            assert_eq!(fs::read_to_string(folder.join("a.md")).unwrap(), text);
        }
    };
    told("no commands\n", ["a.md shows no commands", "```console"]);
    told(
        "- a list\n\n  ```console\n  $ calvaria summary x\n  ```\n",
        ["line 4", "outside a block"],
    );
    told(
        "```console\n$ calvaria summary x \\\n```\n",
        ["line 2", "after a backslash"],
    );
    write_run(&folder.join("first"), 0.8);
    let twice =
        "```console\n$ calvaria plot first -o a.svg\n$ calvaria plot first --output=a.svg\n```\n";
    told(twice, ["line 3", "a.svg is drawn by another command"]);
    // What fails is told with its page and line, whichever way.
    fs::write(
        folder.join("a.md"),
        "```console\n$ calvaria plot --help -o a.svg\n```\n",
    )
    .unwrap();
    program(folder, "check --reference a.md --write")
        .code(1)
        .stdout(contains("a.md, line 2").and(contains("draws no figure")))
        .stderr(contains("1 of 1 commands fail"));
    program(folder, "check --write")
        .code(2)
        .stderr(contains("--reference"));
    program(folder, "check quickstart --reference a.md")
        .code(2)
        .stderr(contains("cannot be used with"));
}
