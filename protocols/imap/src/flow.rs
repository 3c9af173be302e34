//! The states of a session (RFC 9051 §3) and the ways between them.

use accounts::{Admitted, Identity, Proof};
use mail::{MailboxRef, UidSet};

use crate::view::View;

/// Where a session is.
pub(crate) enum State {
    /// Nobody is logged in.
    NotAuthenticated,
    /// Somebody is; no mailbox is open.
    Authenticated(Box<User>),
    /// A mailbox is open.
    Selected(Box<User>, Box<Selected>),
    /// Over.
    Logout,
}

/// Who is logged in.
pub(crate) struct User {
    /// As it was when it was looked up last.
    pub(crate) identity: Identity,
    /// By what it has come in.
    pub(crate) proof: Proof,
}

/// The mailbox that is open.
pub(crate) struct Selected {
    pub(crate) mailbox: MailboxRef,
    /// Opened by EXAMINE, or without the right to change it.
    pub(crate) read_only: bool,
    pub(crate) view: View,
    /// `$`: the result of the last SEARCH with SAVE (RFC 5182).
    pub(crate) saved: UidSet,
}

/// Sets of states, for the table of commands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// In any.
    Always,
    /// Only before login.
    NotAuthenticated,
    /// After login.
    Authenticated,
    /// While a mailbox is open.
    Selected,
}

impl State {
    /// Whether a command that is `allowed` somewhere is so here.
    pub(crate) fn is(&self, allowed: Allowed) -> bool {
        match allowed {
            Allowed::Always => true,
            Allowed::NotAuthenticated => matches!(self, State::NotAuthenticated),
            Allowed::Authenticated => self.user().is_some(),
            Allowed::Selected => matches!(self, State::Selected(..)),
        }
    }

    pub(crate) fn user(&self) -> Option<&User> {
        match self {
            State::Authenticated(user) | State::Selected(user, _) => Some(user),
            State::NotAuthenticated | State::Logout => None,
        }
    }

    pub(crate) fn user_mut(&mut self) -> Option<&mut User> {
        match self {
            State::Authenticated(user) | State::Selected(user, _) => Some(user),
            State::NotAuthenticated | State::Logout => None,
        }
    }

    pub(crate) fn selected(&self) -> Option<&Selected> {
        match self {
            State::Selected(_, selected) => Some(selected),
            _ => None,
        }
    }

    pub(crate) fn selected_mut(&mut self) -> Option<&mut Selected> {
        match self {
            State::Selected(_, selected) => Some(selected),
            _ => None,
        }
    }

    /// Somebody logged in.
    pub(crate) fn log_in(&mut self, admitted: Admitted) {
        let Admitted { identity, proof, .. } = admitted;
        *self = State::Authenticated(Box::new(User { identity, proof }));
    }

    /// A mailbox was opened.
    pub(crate) fn open(&mut self, selected: Selected) {
        *self = match std::mem::replace(self, State::Logout) {
            State::Authenticated(user) | State::Selected(user, _) => {
                State::Selected(user, Box::new(selected))
            }
            other => other,
        };
    }

    /// The mailbox is open no more. Returns whether one was.
    pub(crate) fn close(&mut self) -> bool {
        match std::mem::replace(self, State::Logout) {
            State::Selected(user, _) => {
                *self = State::Authenticated(user);
                true
            }
            other => {
                *self = other;
                false
            }
        }
    }

    /// It is over.
    pub(crate) fn end(&mut self) {
        *self = State::Logout;
    }
}
