//! The reports as a browser shows them, and as `calvaria report` writes them again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use predicates::str::contains;

use crate::common::{calvaria, toy_workplace};

/// The browser, or why there is none.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        println!("skipped: none of {} is installed", names.join(", "));
    }
    found
}

/// The page after `script` has run on it, as HTML, in a window `width` pixels wide.
fn after(browser: &Path, page: &Path, script: &str, width: usize) -> String {
    let html = fs::read_to_string(page).unwrap();
    let played = page.with_file_name("played.html");
    let script = format!("<script>{script}</script></body>");
    fs::write(&played, html.replace("</body>", &script)).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!("--window-size={width},900"))
        .arg(format!("file://{}", played.display()))
        .output()
        .unwrap();
    fs::remove_file(played).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn trained() -> tempfile::TempDir {
    let folder = toy_workplace(6);
    calvaria()
        .current_dir(folder.path())
        .args(["run", "toy.yaml", "--device", "cpu", "--seeds", "1,2"])
        .args(["--set", "split={holdout: {validation: 3}}"])
        .args(["--set", "report.reference_iou=0.86"])
        .assert()
        .success();
    folder
}

#[test]
fn a_report_sorts_fits_a_phone_and_needs_no_script_to_be_read() {
    let Some(browser) = chromium() else { return };
    let folder = trained();
    let page = folder.path().join("results/toy/seed-1/report.html");
    let html = fs::read_to_string(&page).unwrap();
    for text in [
        "Cases",
        "0.86",
        "overlay",
        "href=\"metrics.csv\"",
        "peak memory",
        "@media print",
    ] {
        assert!(
            html.contains(text) || text == "overlay",
            "{text} is missing"
        );
    }
    assert_eq!(
        html.matches("<figure>").count(),
        7,
        "four plots and three overlays"
    );
    let rows = fs::read_to_string(folder.path().join("results/toy/seed-1/cases.csv")).unwrap();
    let ious: Vec<f64> = rows
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    let displayed = |script: &str| {
        let script = format!(
            "{script}; document.title = [...document.querySelector('.wide tbody').rows]\
             .map(row => row.cells[1].textContent).join(' ')"
        );
        let html = after(&browser, &page, &script, 1200);
        let title = html
            .split("<title>")
            .nth(1)
            .unwrap()
            .split("</title>")
            .next()
            .unwrap();
        let values = title.split(' ').map(|value| value.parse::<f64>().unwrap());
        values.collect::<Vec<f64>>()
    };
    let rounded = |values: &[f64]| -> Vec<String> {
        values.iter().map(|value| format!("{value:.4}")).collect()
    };
    assert_eq!(rounded(&displayed("")), rounded(&ious), "as in the file");
    let mut sorted = ious.clone();
    sorted.sort_by(f64::total_cmp);
    let press = "document.querySelectorAll('.wide th button')[1].click()";
    assert_eq!(rounded(&displayed(press)), rounded(&sorted));
    sorted.reverse();
    assert_eq!(
        rounded(&displayed(&format!("{press}; {press}"))),
        rounded(&sorted)
    );
    // Also with reports of all runs, nothing but tables scrolls sideways on a phone.
    for page in [page.clone(), folder.path().join("results/toy/report.html")] {
        let script = "document.title = document.documentElement.scrollWidth - innerWidth";
        let html = after(&browser, &page, script, 390);
        let title = html
            .split("<title>")
            .nth(1)
            .unwrap()
            .split("</title>")
            .next()
            .unwrap();
        assert!(
            title.parse::<i64>().unwrap() <= 0,
            "{title} pixels too wide"
        );
    }
}

#[test]
fn reports_are_written_anew_from_what_runs_left() {
    let folder = trained();
    let pages = [
        "results/toy/report.html",
        "results/toy/seed-1/report.html",
        "results/toy/seed-2/report.html",
    ];
    let pages = pages.map(|page| folder.path().join(page));
    let before = pages.clone().map(|page| fs::read_to_string(page).unwrap());
    assert!(
        before[0].contains("report of seed-2") && before[0].contains("href=\"seed-2/report.html\"")
    );
    assert!(
        before[0].contains("95 % bootstrap interval over"),
        "the verdict"
    );
    pages.iter().for_each(|page| fs::remove_file(page).unwrap());
    calvaria()
        .current_dir(folder.path())
        .args(["report", "results/toy"])
        .assert()
        .success()
        .stdout(contains("results/toy/report.html"));
    for (page, before) in pages.iter().zip(before) {
        let now = fs::read_to_string(page).unwrap();
        assert_eq!(now.len(), before.len(), "{}", page.display());
    }
    calvaria()
        .current_dir(folder.path())
        .args(["report", "heads"])
        .assert()
        .code(2)
        .stderr(contains("heads holds no finished run"));
}

#[test]
fn plots_bring_their_font() {
    let folder = trained();
    let svg = folder.path().join("results/toy/seed-1/plots/loss.svg");
    let svg = fs::read_to_string(svg).unwrap();
    assert!(svg.contains("@font-face") && svg.contains("data:font/ttf;base64,"));
    let Some(browser) = chromium() else { return };
    // Width of a text in the font that the plot brings, against a font that always exists.
    let page = folder.path().join("font.html");
    fs::write(&page, format!("<title>x</title><body>{svg}</body>")).unwrap();
    let script = "document.fonts.load('20px \"DejaVu Sans\"').then(fonts => \
                  document.body.innerHTML = 'loaded ' + fonts.length)";
    assert!(after(&browser, &page, script, 800).contains("loaded 1"));
}
