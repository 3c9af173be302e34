//! Orders of all rows of a catalogue that follow from what never changes of emails. Sorting a million of them is too much for each
//! query, so an order is kept: rows that move are moved in it, and where new ones belong is looked up when it is asked for again.

use std::cmp::Ordering;
use std::sync::Arc;

/// Orders of a catalogue that are kept, those asked for last.
const KEPT: usize = 6;
/// New rows after which all are sorted anew.
const FRESH: usize = 256;

#[derive(Debug)]
struct Order {
    name: String,
    rows: Arc<Vec<u32>>,
    /// Rows that came since, and are not among the others.
    fresh: Vec<u32>,
}

/// Orders, the one asked for last first.
#[derive(Debug, Default)]
pub(super) struct Orders(Vec<Order>);

impl Orders {
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|order| order.rows.capacity() * 4).sum()
    }

    /// The order of a name, brought up to date; made by `make` if there is none.
    pub(super) fn get(
        &mut self,
        name: &str,
        compare: impl Fn(u32, u32) -> Ordering,
        make: impl FnOnce() -> Vec<u32>,
    ) -> Arc<Vec<u32>> {
        let known = self.0.iter().position(|order| order.name == name).map(|at| self.0.remove(at));
        let order = match known.filter(|order| order.fresh.len() <= FRESH) {
            Some(mut order) => {
                let rows = Arc::make_mut(&mut order.rows);
                for row in order.fresh.drain(..) {
                    rows.insert(rows.partition_point(|one| compare(*one, row).is_lt()), row);
                }
                order
            }
            None => Order { name: name.to_owned(), rows: Arc::new(make()), fresh: Vec::new() },
        };
        let rows = Arc::clone(&order.rows);
        self.0.insert(0, order);
        self.0.truncate(KEPT);
        rows
    }

    /// Rows moved, or went where there is no new place.
    pub(super) fn moved(&mut self, place: impl Fn(u32) -> Option<u32>) {
        for order in &mut self.0 {
            for rows in [Arc::make_mut(&mut order.rows), &mut order.fresh] {
                rows.retain_mut(|row| match place(*row) {
                    Some(new) => {
                        *row = new;
                        true
                    }
                    None => false,
                });
            }
        }
    }

    /// Rows came, where nothing lies by now.
    pub(super) fn added(&mut self, rows: &[u32]) {
        self.0.retain(|order| order.fresh.len() + rows.len() <= FRESH);
        self.0.iter_mut().for_each(|order| order.fresh.extend(rows));
    }
}
