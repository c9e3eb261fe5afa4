//! Exchanging structures: what becomes of each class.

use crate::channels::unknown_name;
use crate::settings::Fault;
use crate::volume::Structures;

/// What is wrong with pairs of names, whatever the structures are called.
pub(super) fn rules(pairs: &[[String; 2]]) -> Vec<Fault> {
    let names: Vec<&String> = pairs.iter().flatten().collect();
    let repeated = names
        .iter()
        .enumerate()
        .find_map(|(at, name)| names[..at].contains(name).then_some(name));
    let fault = repeated.map(|name| {
        let message =
            format!("swap names `{name}` twice: a structure can be exchanged with one other");
        Fault::new("swap", message)
    });
    fault.into_iter().collect()
}

/// What is wrong with pairs of names where `structures` are to be found.
pub(super) fn check(pairs: &[[String; 2]], structures: &Structures) -> Vec<Fault> {
    if pairs.is_empty() {
        return Vec::new();
    }
    if structures.is_mask() {
        let message = "swap needs structures with names, and a mask has but one without. Declare `labels`, or leave it out";
        return vec![Fault::new("swap", message)];
    }
    let known: Vec<String> = structures.names().into_iter().map(str::to_owned).collect();
    let unknown = pairs.iter().enumerate().flat_map(|(at, pair)| {
        let known = &known;
        let names = pair
            .iter()
            .enumerate()
            .filter(|(_, name)| !known.contains(name));
        names.map(move |(side, name)| {
            Fault::new(
                format!("swap.{at}.{side}"),
                unknown_name("structure", name, known),
            )
        })
    });
    let unknown: Vec<Fault> = unknown.collect();
    if !unknown.is_empty() {
        return unknown;
    }
    let fault = table(pairs, structures).map_err(|why| Fault::new("swap", why));
    fault.err().into_iter().collect()
}

/// What becomes of each class when the structures of each pair are exchanged: it goes to the one class that lies in
/// the structures exchanged for its own.
///
/// # Errors
///
/// When there is none, or several; with a sentence.
pub(super) fn table(pairs: &[[String; 2]], structures: &Structures) -> Result<[u8; 256], String> {
    let mut partner: Vec<usize> = (0..structures.count()).collect();
    for [left, right] in pairs {
        if let (Some(left), Some(right)) = (structures.named(left), structures.named(right)) {
            (partner[left], partner[right]) = (right, left);
        }
    }
    let classes = || (1..=structures.classes()).filter_map(|class| u8::try_from(class).ok());
    let owners = |class: u8| -> Vec<bool> {
        let all = 0..structures.count();
        all.map(|structure| structures.contains(structure, class))
            .collect()
    };
    let all: Vec<(u8, Vec<bool>)> = classes().map(|class| (class, owners(class))).collect();
    let mut table = std::array::from_fn(|class| class as u8);
    for (class, own) in &all {
        let wanted: Vec<bool> = partner.iter().map(|&partner| own[partner]).collect();
        if wanted == *own {
            continue;
        }
        let mut found = all.iter().filter(|(_, owners)| *owners == wanted);
        table[usize::from(*class)] = match (found.next(), found.next()) {
            (Some((to, _)), None) => *to,
            (first, _) => {
                let how_many = if first.is_some() {
                    "several do"
                } else {
                    "none does"
                };
                return Err(format!(
                    "swap does not say what becomes of {}: exactly one label must lie in the structures \
                     exchanged for its own, and {how_many}. Name all pairs of left and right structures, or declare \
                     a structure for each label",
                    structures.class_name(*class)
                ));
            }
        };
    }
    Ok(table)
}

/// That structures named left or right are mirrored but not exchanged, if any are.
pub(super) fn notes(pairs: &[[String; 2]], structures: &Structures) -> Vec<String> {
    let names = structures.names();
    let sided = |name: &&&str| {
        let lower = name.to_lowercase();
        let is_sided = lower.starts_with("left") || lower.starts_with("right");
        is_sided && !pairs.iter().flatten().any(|swapped| swapped == *name)
    };
    let sided: Vec<&str> = names.iter().filter(sided).copied().collect();
    if sided.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "flip mirrors left and right, but {} keep their names: the right one then looks like the left one. Exchange them \
         (flip: {{swap: [[left_…, right_…]]}}), or flip along other axes.",
        sided.join(", ")
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Named, Undeclared};

    fn named(names: &[(&str, &[u16])]) -> Vec<Named> {
        let named = names.iter();
        named
            .map(|(name, labels)| ((*name).to_owned(), labels.to_vec()))
            .collect()
    }

    fn labels(names: &[(&str, &[u16])]) -> Structures {
        Structures::labels(&named(names), None, Undeclared::Refused).unwrap()
    }

    fn regions(names: &[(&str, &[u16])], order: &[u16]) -> Structures {
        Structures::regions(&named(names), Some(order), None, Undeclared::Refused).unwrap()
    }

    fn pairs(pairs: &[[&str; 2]]) -> Vec<[String; 2]> {
        pairs.iter().map(|pair| pair.map(str::to_owned)).collect()
    }

    #[test]
    fn classes_of_a_pair_are_exchanged_and_others_stay() {
        let structures = labels(&[("left", &[7, 8]), ("stem", &[9]), ("right", &[3])]);
        let table = table(&pairs(&[["right", "left"]]), &structures).unwrap();
        assert_eq!(table[..5], [0, 3, 2, 1, 4]);
        assert_eq!(table[255], 255, "ignored");
    }

    #[test]
    fn of_overlapping_structures_labels_follow_the_structures() {
        let structures = regions(
            &[
                ("left", &[1, 2]),
                ("right", &[3, 4]),
                ("left_core", &[2]),
                ("right_core", &[4]),
            ],
            &[1, 3, 2, 4],
        );
        let both = pairs(&[["left", "right"], ["left_core", "right_core"]]);
        assert_eq!(table(&both, &structures).unwrap()[..5], [0, 3, 4, 1, 2]);
        // The core would be on the other side than what is around it.
        let one = check(&both[..1], &structures);
        assert!(one[0].message.contains("and none does"), "{one:?}");
        let coarse = regions(&[("left", &[1, 2]), ("right", &[3, 4])], &[1, 3]);
        let faults = check(&both[..1], &coarse);
        assert!(faults[0].message.contains("and several do"), "{faults:?}");
    }

    #[test]
    fn names_that_cannot_be_exchanged_are_refused() {
        let structures = labels(&[("left_hippocampus", &[1]), ("right_hippocampus", &[2])]);
        let faults = check(
            &pairs(&[["left_hippocampus", "right_hipocampus"]]),
            &structures,
        );
        let message = "no structure is called `right_hipocampus`. Did you mean `right_hippocampus`? \
                       The structures are left_hippocampus, right_hippocampus";
        assert_eq!(faults, [Fault::new("swap.0.1", message)]);
        assert!(
            check(&pairs(&[["a", "b"]]), &Structures::Mask)[0]
                .message
                .contains("Declare `labels`")
        );
        assert_eq!(check(&[], &Structures::Mask), []);
        assert_eq!(rules(&pairs(&[["a", "b"], ["c", "a"]])).len(), 1);
        assert_eq!(rules(&pairs(&[["a", "a"]])).len(), 1);
    }

    #[test]
    fn sides_that_are_mirrored_but_not_exchanged_are_told() {
        let structures = labels(&[
            ("Left kidney", &[1]),
            ("right kidney", &[2]),
            ("liver", &[3]),
        ]);
        let note = notes(&[], &structures);
        assert!(
            note[0].contains("but Left kidney, right kidney keep"),
            "{note:?}"
        );
        assert_eq!(
            notes(&pairs(&[["Left kidney", "right kidney"]]), &structures),
            [""; 0]
        );
    }
}
