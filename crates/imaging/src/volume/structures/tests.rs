use super::*;

fn named(names: &[(&str, &[u16])]) -> Vec<Named> {
    let named = names.iter();
    named
        .map(|(name, labels)| ((*name).to_owned(), labels.to_vec()))
        .collect()
}

fn values(values: &[f32]) -> Array3<f32> {
    Array3::from_shape_fn((1, 1, values.len()), |(.., z)| values[z])
}

fn read(structures: &Structures, of: &[f32]) -> Result<Vec<u8>, String> {
    let classes = structures
        .classes_of(&values(of))
        .map_err(|why| why.to_string())?;
    Ok(classes.into_iter().collect())
}

fn brats() -> Structures {
    let named = named(&[
        ("whole", &[1, 2, 4]),
        ("core", &[1, 4]),
        ("enhancing", &[4]),
    ]);
    Structures::regions(&named, None, Some(255), Undeclared::Refused).unwrap()
}

#[test]
fn labels_become_classes_in_the_order_of_their_names() {
    let named = named(&[("right", &[20]), ("left", &[10, 11])]);
    let labels = Structures::labels(&named, Some(255), Undeclared::Refused).unwrap();
    assert_eq!(
        read(&labels, &[0.0, 10.0, 11.0001, 20.0, 255.0]),
        Ok(vec![0, 2, 2, 1, Structures::IGNORED])
    );
    assert_eq!(
        (labels.count(), labels.outputs(), labels.classes()),
        (2, 3, 2)
    );
    assert_eq!(
        [1, 2, 255, 0].map(|class| labels.value_of(class)),
        [20, 10, 255, 0]
    );
    assert_eq!(labels.class_named("left"), Some(2));
}

#[test]
fn regions_are_sets_of_labels_and_are_written_by_the_one_that_is_theirs() {
    let regions = brats();
    assert_eq!(
        read(&regions, &[0.0, 1.0, 2.0, 4.0, 255.0]),
        Ok(vec![0, 1, 2, 3, 255])
    );
    let members = |structure| {
        (0..=4)
            .filter(|class| regions.contains(structure, *class))
            .collect::<Vec<u8>>()
    };
    assert_eq!([0, 1, 2].map(members), [vec![1, 2, 3], vec![1, 3], vec![3]]);
    assert_eq!(
        [0, 1, 2].map(|s| regions.value_of(regions.written(s))),
        [2, 1, 4]
    );
    assert_eq!(regions.outputs(), 3);
    assert!(
        !regions.contains(0, Structures::IGNORED),
        "nobody looked at it"
    );
}

#[test]
fn labels_that_are_not_declared_are_refused_by_name_or_are_background() {
    let one = named(&[("lesion", &[1])]);
    let strict = Structures::labels(&one, None, Undeclared::Refused).unwrap();
    let why = read(&strict, &[0.0, 1.0, 3.0, 3.0, 70_000.0]).unwrap_err();
    assert!(
        why.contains("3 (40.0 % of the voxels)")
            && why.contains("70000")
            && why.contains("lesion (1)"),
        "{why}"
    );
    let why = read(&strict, &[0.0, 0.5]).unwrap_err();
    assert!(why.contains("0.5 is not a whole number"), "{why}");
    let lenient = Structures::labels(&one, None, Undeclared::Background).unwrap();
    assert_eq!(
        read(&lenient, &[0.0, 1.0, 3.0, -1.0, 70_000.0]),
        Ok(vec![0, 1, 0, 0, 0])
    );
}

#[test]
fn names_and_labels_that_do_not_fit_together_are_refused() {
    let labels = |named: &[Named], ignored| {
        Structures::labels(named, ignored, Undeclared::Refused)
            .unwrap_err()
            .to_string()
    };
    for (wrong, ignored, says) in [
        (named(&[]), None, "at least one structure"),
        (named(&[("mean", &[1])]), None, "`mean` cannot be"),
        (named(&[("a/b", &[1])]), None, "`a/b` cannot be"),
        (named(&[("a", &[1]), ("a", &[2])]), None, "two structures"),
        (named(&[("a", &[])]), None, "at least one label"),
        (named(&[("a", &[0])]), None, "background"),
        (
            named(&[("a", &[1]), ("b", &[2, 1])]),
            None,
            "`a` and for `b`",
        ),
        (named(&[("a", &[7])]), Some(7), "the label 7 is ignored"),
        (named(&[("a", &[7])]), Some(0), "cannot be ignored"),
    ] {
        let why = labels(&wrong, ignored);
        assert!(why.contains(says), "{why}");
    }
    let overlapping = named(&[("a", &[1, 2]), ("b", &[2, 3]), ("c", &[1, 2, 3])]);
    let regions =
        |order: Option<&[u16]>| Structures::regions(&overlapping, order, None, Undeclared::Refused);
    assert!(
        regions(None)
            .unwrap_err()
            .to_string()
            .contains("which label marks `a`")
    );
    assert!(
        regions(Some(&[1, 3]))
            .unwrap_err()
            .to_string()
            .contains("2 labels for 3 regions")
    );
    assert!(
        regions(Some(&[3, 3, 2]))
            .unwrap_err()
            .to_string()
            .contains("`a` by the label 3")
    );
    assert!(regions(Some(&[1, 3, 2])).is_ok());
}

#[test]
fn a_region_that_another_would_always_hide_is_refused() {
    let nested = named(&[("core", &[2, 300]), ("whole", &[1, 2, 300])]);
    let regions =
        |order: &[u16]| Structures::regions(&nested, Some(order), None, Undeclared::Refused);
    let why = regions(&[2, 1]).unwrap_err().to_string();
    assert!(
        why.contains("`core` can never be seen") && why.contains("`whole`"),
        "{why}"
    );
    assert!(regions(&[2, 300]).is_ok(), "written by a label of the core");
}

#[test]
fn labels_that_are_declared_and_in_no_region_are_background() {
    let core = named(&[("core", &[1])]);
    let regions = Structures::regions(&core, None, None, Undeclared::Refused).unwrap();
    assert!(read(&regions, &[0.0, 1.0, 2.0]).is_err());
    let regions = regions.with_declared(&[1, 2]);
    assert_eq!(read(&regions, &[0.0, 1.0, 2.0]), Ok(vec![0, 1, 0]));
}
