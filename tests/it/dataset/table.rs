//! Cases from a table.

use calvaria::dataset::{CaseSource, Source, Table};

use super::helpers::{error_message, folder, listed, write};

#[test]
fn a_table_gives_a_case_a_row_with_paths_from_its_folder() {
    let root = folder(&[
        "raw/a.nii.gz",
        "raw/b.nii.gz",
        "brains/a.nii.gz",
        "brains/b.nii.gz",
    ]);
    let text = "id, image, mask, subject, region, site, age\n\
                scan-2, raw/b.nii.gz, brains/b.nii.gz, S1, brains/a.nii.gz, Kyiv, 40\n\
                scan-1, raw/a.nii.gz, brains/a.nii.gz, , ,\"Lviv, north\", \n";
    write(root.path(), "cases.csv", text);
    let tabs = text.replace(", ", "\t").replace(",\"Lviv\t", "\t\"Lviv, ");
    write(root.path(), "cases.tsv", &tabs);
    for name in ["cases.csv", "cases.tsv"] {
        let path = root.path().join(name);
        let cases = Table { path, images: None }.cases().unwrap();
        let expected = [
            ["scan-1", "scan-1", "brains/a.nii.gz"],
            ["scan-2", "S1", "brains/b.nii.gz"],
        ];
        assert_eq!(listed(root.path(), &cases), expected, "{name}");
        assert_eq!(cases[0].columns["site"], "Lviv, north");
        assert!(!cases[0].columns.contains_key("age"));
        assert_eq!(cases[0].region, None);
        let region = cases[1].region.as_ref().unwrap();
        assert!(region.ends_with("brains/a.nii.gz"));
    }
}

#[test]
fn a_table_may_start_its_paths_with_a_tilde() {
    let root = folder(&["m.nii"]);
    let path = root.path().join("cases.csv");
    write(
        root.path(),
        "cases.csv",
        "id,image,mask\n1,~/no/such.nii,m.nii\n",
    );
    let why = error_message(root.path(), Source::Table(Table { path, images: None }));
    let home = std::env::var("HOME").unwrap();
    assert!(
        why.contains(&format!("cannot read {home}/no/such.nii")),
        "{why}"
    );
}

#[test]
fn what_is_wrong_with_a_table_is_said_with_its_line() {
    let root = folder(&["a.nii.gz", "m.nii.gz"]);
    let refusal = |text: &str| {
        write(root.path(), "cases.csv", text);
        let path = root.path().join("cases.csv");
        error_message(root.path(), Source::Table(Table { path, images: None }))
    };
    let why = refusal("id,image,masks\n");
    assert!(
        why.starts_with("cases.csv, line 1: there is no column `mask` (did you mean"),
        "{why}"
    );
    let why = refusal("m1,image,mask\n");
    assert!(!why.contains("did you mean"), "{why}");
    let why = refusal("id;image;mask\n1;a.nii.gz;m.nii.gz\n");
    assert!(
        why.contains("only `id;image;mask`") && why.contains("separated by commas"),
        "{why}"
    );
    let why = refusal("id,image,mask,mask\n1,a.nii.gz,m.nii.gz,a.nii.gz\n");
    assert!(
        why.contains("line 1: there are two columns `mask`"),
        "{why}"
    );
    assert!(refusal("").contains("line 1: it is empty"));
    assert!(refusal("id,image,mask\n").contains("line 1: there is no row"));
    let why = refusal("id,image,mask\n1,a.nii.gz,\n");
    assert!(why.contains("line 2: the cell of `mask` is empty"), "{why}");
    let why = refusal("id,image,mask\n1,a.nii.gz,b.nii.gz\n");
    assert!(
        why.contains("line 2: `mask`: cannot read b.nii.gz"),
        "{why}"
    );
    let why = refusal("id,image,mask\n1,a.nii.gz,m.nii.gz\n1,a.nii.gz,m.nii.gz\n");
    assert!(why.contains("line 3: the id `1` stands in line 2"), "{why}");
    let why = refusal("id,image,mask\n1,a.nii.gz\n");
    assert!(
        why.contains("line 2: it has 2 cells, but the header has 3"),
        "{why}"
    );
    let why = refusal("id,image,mask\n1,.,m.nii.gz\n");
    assert!(why.contains("line 2: `image`: cannot read"), "{why}");
    let why = refusal("id,image,mask,region\n1,a.nii.gz,m.nii.gz,r.nii\n");
    assert!(why.contains("line 2: `region`: cannot read r.nii"), "{why}");
    let why = refusal("id,image,mask\n1,a.nii.gz,./a.nii.gz\n");
    assert!(
        why.contains("line 2: `image` and `mask` name the same file"),
        "{why}"
    );
    let missing = Table {
        path: root.path().join("no.csv"),
        images: None,
    };
    assert!(error_message(root.path(), Source::Table(missing)).contains("cannot read no.csv"));
}

#[test]
fn lines_of_a_table_are_those_an_editor_shows() {
    let root = folder(&["a.nii", "m.nii"]);
    let path = root.path().join("cases.csv");
    let good = "1,a.nii,m.nii";
    for (text, line) in [
        (format!("id,image,mask\r\n{good}\r\n2,,m.nii\r\n"), 3),
        (format!("id,image,mask\r\n{good}\r\n2,a.nii\r\n"), 3),
        (
            format!("\u{feff}id,image,mask\n\n{good}\n\n\n2,,m.nii\n"),
            6,
        ),
        (format!("id,image,mask,note\n{good},\"a\nb\"\n2,,m.nii,"), 4),
        (format!("id,image,mask\r\n\r\n{good}\r\n\r\n{good}"), 5),
    ] {
        write(root.path(), "cases.csv", &text);
        let why = error_message(
            root.path(),
            Source::Table(Table {
                path: path.clone(),
                images: None,
            }),
        );
        assert!(why.contains(&format!("line {line}:")), "{text:?}: {why}");
    }
}
