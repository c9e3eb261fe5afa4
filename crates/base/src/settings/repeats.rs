//! What stands twice in a list.

/// The first item that an earlier one equals.
pub fn repeated<T: PartialEq>(list: &[T]) -> Option<&T> {
    let items = list.iter().enumerate();
    let mut repeated = items.filter(|(index, item)| list[..*index].contains(item));
    repeated.next().map(|(_, item)| item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_item_that_stands_twice_is_found() {
        assert_eq!(repeated(&[1, 2, 3, 2, 1]), Some(&2));
        assert_eq!(repeated(&[1, 2, 3]), None);
    }
}
