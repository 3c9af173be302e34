//! What is done on the page of one's own account.

use accounts::{AuthFailure, AuthRequest, Entered, Entry, Person, Secret};
use oauth_proto::{Error, ErrorCode, Form};
use schema::GrantId;

use super::told::Told;
use crate::answer::Refused;
use crate::enter::WRONG_CODE;
use crate::{Remote, Server};

/// Shortest password, in characters (NIST SP 800-63B-4 §3.1.1.2 has 8 where there is a second factor too).
const PASSWORD_MIN: usize = 8;
/// Longest password, in octets: longer ones are never right.
const PASSWORD_MAX: usize = 1024;

/// What somebody wants.
pub(super) enum Deed {
    /// To take back what was allowed to a client.
    TakeBack(GrantId),
    /// A password for an application.
    AddApplication {
        /// What it is called.
        name: String,
        /// The password of the account.
        current: Secret,
    },
    /// To remove the password of an application.
    RemoveApplication(u32),
    /// To set up a device that makes codes.
    Enroll {
        /// The password.
        current: Secret,
    },
    /// To show what the device shows.
    Confirm(String),
    /// That no code is asked for any more.
    RemoveSecond {
        /// The password.
        password: Secret,
        /// A code of the device, or from paper.
        code: String,
    },
    /// Another password.
    Password {
        /// The one that there is.
        current: Secret,
        /// The one to be.
        new: Secret,
        /// The same, typed again.
        again: Secret,
    },
    /// To go.
    Leave,
}

/// What became of it.
pub(super) enum Done {
    /// That is told.
    Told(Told),
    /// That is told, in a new visit: the one in which it was done is not good any more.
    Anew(Person, Told),
    /// Nobody is there any more.
    Leave,
}

fn yes(text: &str) -> Done {
    Done::Told(Told::Yes(text.to_owned()))
}

fn no(text: &str) -> Done {
    Done::Told(Told::No(text.to_owned()))
}

impl Deed {
    /// Reads what a form says.
    pub(super) fn read(form: &Form) -> Result<Deed, Error> {
        let bad = || Error::new(ErrorCode::InvalidRequest, "That is nothing that could be done here.");
        let text = |name| form.get(name).unwrap_or_default();
        let secret = |name| Secret::new(text(name));
        Ok(match text("do") {
            "take-back" => {
                Deed::TakeBack(GrantId(u64::from_str_radix(text("which"), 16).map_err(|_| bad())?))
            }
            "add-application" => {
                Deed::AddApplication { name: text("name").to_owned(), current: secret("current") }
            }
            "remove-application" => {
                Deed::RemoveApplication(u32::from_str_radix(text("which"), 16).map_err(|_| bad())?)
            }
            "enroll" => Deed::Enroll { current: secret("current") },
            "confirm" => Deed::Confirm(text("code").to_owned()),
            "remove-second" => {
                Deed::RemoveSecond { password: secret("current"), code: text("code").to_owned() }
            }
            "password" => {
                Deed::Password { current: secret("current"), new: secret("new"), again: secret("again") }
            }
            "leave" => Deed::Leave,
            _ => return Err(bad()),
        })
    }
}

impl Server {
    /// Does it for who has logged in.
    pub(super) async fn do_for(&self, person: &Person, deed: Deed, remote: Remote) -> Result<Done, Refused> {
        let (accounts, account) = (&self.services.accounts, person.identity.account);
        Ok(match deed {
            Deed::TakeBack(grant) => match accounts.take_back(account, grant).await? {
                true => yes("It was taken back. Who was using it is being sent away."),
                false => no("It had ended already."),
            },
            Deed::AddApplication { name, current } => self.add(person, remote, &name, &current).await?,
            Deed::RemoveApplication(number) => match accounts.remove_application(account, number).await? {
                true => yes("The password was removed. Who was using it is being sent away."),
                false => no("That password was removed already."),
            },
            Deed::Enroll { current } => self.enroll(person, remote, &current).await?,
            Deed::Confirm(code) => match accounts.confirm_second(account, &code).await {
                // Who has shown the password and now a code need not log in again.
                Ok(true) => {
                    Done::Anew(Person { second: true, ..person.clone() }, Told::Yes(CONFIRMED.to_owned()))
                }
                Ok(false) => no("The code is wrong, or too many were. Wait for the next one."),
                Err(accounts::Error::NotFound(_)) => no("No device waits for that."),
                Err(error) => return Err(error.into()),
            },
            Deed::RemoveSecond { password, code } => self.remove(person, remote, &password, &code).await?,
            Deed::Password { current, new, again } => {
                self.change(person, remote, (&current, &new, &again)).await?
            }
            Deed::Leave => Done::Leave,
        })
    }

    /// What is made here opens the account for longer than the visit lasts: whoever finds the page open on somebody's
    /// desk is not to make one.
    async fn add(
        &self,
        person: &Person,
        remote: Remote,
        name: &str,
        current: &Secret,
    ) -> Result<Done, Refused> {
        if let Err(failure) = self.shows(person, remote, current).await {
            return failed(failure);
        }
        Ok(match self.services.accounts.add_application(person.identity.account, name).await {
            Ok((made, password)) => Done::Told(Told::Application(made.name, password)),
            Err(accounts::Error::Invalid(_)) => {
                no("The application needs a name, of 100 characters at most.")
            }
            Err(accounts::Error::TooMany(_)) => no("There are too many. Remove one first."),
            Err(error) => return Err(error.into()),
        })
    }

    /// A device of somebody else would keep the account's owner out.
    async fn enroll(&self, person: &Person, remote: Remote, current: &Secret) -> Result<Done, Refused> {
        if let Err(failure) = self.shows(person, remote, current).await {
            return failed(failure);
        }
        Ok(match self.services.accounts.enroll_second(person.identity.account).await {
            Ok(enrolled) => Done::Told(Told::Enrolled(enrolled)),
            Err(accounts::Error::AlreadyExists(_)) => no("A device is set up already."),
            Err(error) => return Err(error.into()),
        })
    }

    async fn remove(
        &self,
        person: &Person,
        remote: Remote,
        password: &Secret,
        code: &str,
    ) -> Result<Done, Refused> {
        let word = match self.shows(person, remote, password).await {
            Ok(Entry::Code(word)) => word,
            Ok(Entry::Person(_)) => return Ok(no("No device is set up.")),
            Err(failure) => return failed(failure),
        };
        match self.services.authenticator.code(&word, code, remote.address).await {
            Ok(Entered::Yes(shown)) if shown.identity.account == person.identity.account => {}
            Ok(Entered::Yes(_) | Entered::Over) => return Ok(no("That took too long. Try again.")),
            Ok(Entered::Wrong) => return Ok(no(WRONG_CODE)),
            Ok(Entered::Limited) => return failed(AuthFailure::RateLimited),
            Err(failure) => return failed(failure),
        }
        Ok(match self.services.accounts.remove_second(person.identity.account).await? {
            true => yes("The device was removed. No code is asked for any more."),
            false => no("No device is set up."),
        })
    }

    async fn change(
        &self,
        person: &Person,
        remote: Remote,
        (current, new, again): (&Secret, &Secret, &Secret),
    ) -> Result<Done, Refused> {
        if new.expose() != again.expose() {
            return Ok(no("The new passwords are not the same."));
        }
        if new.expose().chars().count() < PASSWORD_MIN || new.expose().len() > PASSWORD_MAX {
            return Ok(no("The new password has to have 8 characters at least, and not more than 1,000."));
        }
        // Whether a code is asked for as well: it was shown when the visit began.
        if let Err(failure) = self.shows(person, remote, current).await {
            return failed(failure);
        }
        let (account, shown) = (person.identity.account, person.credential);
        let replaced = self.services.accounts.replace_password(account, shown, new).await?;
        let Some(credential) = replaced else { return Ok(no("The password was changed meanwhile.")) };
        Ok(Done::Anew(Person { credential, ..person.clone() }, Told::Yes(CHANGED.to_owned())))
    }

    /// Somebody shows the account's own password again; it counts as at a login.
    async fn shows(&self, person: &Person, remote: Remote, password: &Secret) -> Result<Entry, AuthFailure> {
        let login = person.identity.address.as_str();
        let shown = AuthRequest { mechanism: "OAUTH", login, password, remote: remote.address };
        self.services.authenticator.person(shown).await
    }
}

fn failed(failure: AuthFailure) -> Result<Done, Refused> {
    match failure {
        AuthFailure::Invalid | AuthFailure::Disabled => Ok(no("The present password is wrong.")),
        AuthFailure::RateLimited => Ok(no("Too many attempts. Please wait.")),
        AuthFailure::TemporarilyUnavailable => Err(Refused::Away),
    }
}

const CONFIRMED: &str = "The device is set up: from now on a code is asked for after the password. Mail programs that used your \
                         password need one of their own, which you can make here.";

const CHANGED: &str = "The password was changed. What was allowed to applications by the former one has ended, and so have its \
                       sessions. Passwords of applications stay as they are.";
