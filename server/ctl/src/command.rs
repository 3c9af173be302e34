//! What operators can say.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::drill::Drill;

/// Where the admin API is and what it wants.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// URL of the admin listener; read from DATA/admin-url when absent
    #[arg(long, global = true, env = "GODWIT_ADMIN")]
    pub admin: Option<String>,
    /// The admin password; read from DATA/admin-password when absent
    #[arg(long, global = true, env = "GODWIT_ADMIN_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// Data directory of the node, where it leaves its admin URL and password
    #[arg(long, global = true, env = "GODWIT_DATA", default_value = "data")]
    pub data: PathBuf,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
}

/// Operator commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Domains whose mail is ours
    #[command(subcommand)]
    Domain(Domain),
    /// Persons, and whatever else has an address
    #[command(subcommand)]
    Account(Account),
    /// Other addresses of an account
    #[command(subcommand)]
    Alias(Alias),
    /// Groups with mailboxes that their members share
    #[command(subcommand)]
    Group(Group),
    /// Mailing lists
    #[command(subcommand)]
    List(List),
    /// Mail that waits to be sent
    #[command(subcommand)]
    Queue(Queue),
    /// How the cluster is, as the node that is asked sees it
    #[command(subcommand)]
    Cluster(Cluster),
    /// The nodes: which there are, and their life
    #[command(subcommand)]
    Node(Node),
    /// Zones and regions, and whether they serve
    #[command(subcommand)]
    Site(Site),
    /// The index of mail
    #[command(subcommand)]
    Search(Search),
    /// The loss of a node, a zone or a region, rehearsed
    #[command(subcommand)]
    Drill(Drill),
    /// Keys of the database
    #[command(subcommand)]
    Key(Key),
    /// Keys that sign id tokens (OpenID Connect)
    #[command(subcommand)]
    SigningKeys(SigningKeys),
    /// Ask a node whether it lives, has started, or takes clients; needs no password. Fails if it says no
    Probe {
        /// What is asked
        #[arg(default_value = "readyz")]
        question: Question,
    },
}

/// What a node can be asked without a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Question {
    /// Whether the process lives
    Livez,
    /// Whether it has started
    Startupz,
    /// Whether it takes clients
    Readyz,
}

/// `godwit cluster level raise`
#[derive(Debug, Clone, Subcommand)]
pub enum RaiseLevel {
    /// Raise it: from then on no program can join that does not support it
    Raise {
        /// To which; to the highest that every node supports if absent
        to: Option<u32>,
    },
}

/// `godwit domain …`
#[derive(Debug, Clone, Subcommand)]
pub enum Domain {
    /// Add a domain
    Create {
        /// Its name
        name: String,
    },
    /// List domains
    List,
    /// Say where mail for unknown users of a domain goes
    CatchAll {
        /// The domain
        name: String,
        /// An address; nothing to refuse such mail
        address: Option<String>,
    },
    /// Say what separates a user from a detail, as in user+detail
    Separator {
        /// The domain
        name: String,
        /// One character; nothing for none
        separator: Option<String>,
    },
    /// Remove a domain without addresses
    Delete {
        /// Its name
        name: String,
    },
}

/// `godwit account …`
#[derive(Debug, Clone, Subcommand)]
pub enum Account {
    /// Add an account; a password is read from standard input with --password-stdin
    Create {
        /// Its address
        address: String,
        /// Name for people to read
        #[arg(long, default_value = "")]
        name: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
        /// Most bytes it may keep
        #[arg(long)]
        quota: Option<u64>,
    },
    /// List accounts
    List {
        /// Only of this domain
        #[arg(long)]
        domain: Option<String>,
        /// Instead, accounts that were removed and whose mail is not all gone yet, with what went so far
        #[arg(long, conflicts_with = "domain")]
        removed: bool,
    },
    /// Show an account
    Show {
        /// Its address
        address: String,
    },
    /// Set the password, read from the first line of standard input
    Password {
        /// Its address
        address: String,
    },
    /// Set how many bytes it may keep; 0 for no limit
    Quota {
        /// Its address
        address: String,
        /// Most bytes
        bytes: u64,
    },
    /// Let it log in and receive mail
    Enable {
        /// Its address
        address: String,
    },
    /// Let it neither log in nor receive mail
    Disable {
        /// Its address
        address: String,
    },
    /// Passwords of its user's applications, each for one of them
    #[command(subcommand)]
    AppPassword(AppPassword),
    /// The device that makes codes, which are asked for besides the password
    #[command(subcommand)]
    Totp(Totp),
    /// List what its user has allowed to OAuth clients
    Grants {
        /// Its address
        address: String,
    },
    /// Take back what its user has allowed to an OAuth client
    Revoke {
        /// Its address
        address: String,
        /// The grant, as `account grants` lists it
        grant: String,
    },
    /// Remove an account; its mail goes in the background (see `account list --removed`)
    Delete {
        /// Its address
        address: String,
    },
}

/// `godwit account app-password …`
#[derive(Debug, Clone, Subcommand)]
pub enum AppPassword {
    /// Make one and print it, this once
    Add {
        /// The account's address
        address: String,
        /// What the user calls the application
        name: String,
    },
    /// List them
    List {
        /// The account's address
        address: String,
    },
    /// Remove one; whoever has logged in with it is sent away
    Remove {
        /// The account's address
        address: String,
        /// Its id, as `list` shows it
        id: String,
    },
}

/// `godwit account totp …`
#[derive(Debug, Clone, Subcommand)]
pub enum Totp {
    /// Make a secret, and print this once what the device reads, and codes for who has lost it
    Add {
        /// The account's address
        address: String,
    },
    /// Have codes asked for from now on: with one that the device shows
    Confirm {
        /// The account's address
        address: String,
        /// What the device shows
        code: String,
    },
    /// Show whether codes are asked for
    Show {
        /// The account's address
        address: String,
    },
    /// Have no codes asked for any more
    Remove {
        /// The account's address
        address: String,
    },
}

/// `godwit alias …`
#[derive(Debug, Clone, Subcommand)]
pub enum Alias {
    /// Add an alias
    Add {
        /// The other address
        alias: String,
        /// The account's address
        account: String,
    },
    /// List the aliases of an account
    List {
        /// The account's address
        account: String,
    },
    /// Remove an alias
    Remove {
        /// The other address
        alias: String,
    },
}

/// `godwit group …`
#[derive(Debug, Clone, Subcommand)]
pub enum Group {
    /// Add a group
    Create {
        /// Its address
        address: String,
        /// Name for people to read: what its mailboxes stand under
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Add a member, or change its rights
    Add {
        /// The group's address
        group: String,
        /// The member's address
        member: String,
        /// Letters of RFC 4314; all if absent
        #[arg(long)]
        rights: Option<String>,
    },
    /// Remove a member
    Remove {
        /// The group's address
        group: String,
        /// The member's address
        member: String,
    },
    /// List members and their rights
    Members {
        /// The group's address
        group: String,
    },
}

/// `godwit list …`
#[derive(Debug, Clone, Subcommand)]
pub enum List {
    /// Add a list
    Create {
        /// Its address
        address: String,
    },
    /// Add a member, an address of any kind
    Add {
        /// The list's address
        list: String,
        /// The member
        member: String,
    },
    /// Remove a member
    Remove {
        /// The list's address
        list: String,
        /// The member
        member: String,
    },
    /// List members
    Members {
        /// The list's address
        list: String,
    },
}

/// `godwit queue …`
#[derive(Debug, Clone, Subcommand)]
pub enum Queue {
    /// List what waits
    List,
    /// Show one entry with what its last attempts ended with
    Show {
        /// Its id
        id: u64,
    },
    /// Try it now, held or not
    Retry {
        /// Its id
        id: u64,
    },
    /// Keep it from being sent until it is retried
    Hold {
        /// Its id
        id: u64,
    },
    /// Remove it without telling its sender
    Cancel {
        /// Its id
        id: u64,
    },
}

/// `godwit cluster …`
#[derive(Debug, Clone, Subcommand)]
pub enum Cluster {
    /// Show the feature level that all nodes write by, what each supports, and how far old records are rewritten
    Level {
        /// Raise it instead
        #[command(subcommand)]
        raise: Option<RaiseLevel>,
    },
    /// Say how it is, why, and what to do about it
    Status,
    /// Print the health document
    Health {
        /// Instead, its JSON Schema
        #[arg(long)]
        schema: bool,
    },
    /// List what one node at a time works on, and which does
    Leases,
    /// List the slots of the queue and what waits in each
    Queues,
}

/// `godwit node …`
#[derive(Debug, Clone, Subcommand)]
pub enum Node {
    /// List the nodes that the store knows
    List,
    /// Have a node leave: not ready, then duties handed over, clients sent away, and gone within 90 s
    Drain {
        /// Its name or id; the node that is asked if absent
        node: Option<String>,
    },
    /// Forget a node that is gone for good. Its id is not given out again
    Forget {
        /// Its name or id
        node: String,
    },
    /// Have the node that is asked read its configuration file and certificates again
    Reload,
}

/// `godwit site …`
#[derive(Debug, Clone, Subcommand)]
pub enum Site {
    /// List zones and regions
    List,
    /// Say what a site is to do. While it is not online its nodes get no new clients and no duties
    Set {
        /// Its name, or zone/NAME or region/NAME where both have it
        name: String,
        /// online; standby: ready to take over; evacuating: clients are sent away; offline: and its silence is no alarm
        state: String,
        /// Why, for others to read
        #[arg(long, default_value = "")]
        reason: String,
        /// Also if nobody would serve any more
        #[arg(long)]
        force: bool,
    },
}

/// `godwit search …`
#[derive(Debug, Clone, Subcommand)]
pub enum Search {
    /// Show the shards, and which of them are being made anew
    Status,
    /// Have the index made anew in the background; the old one answers until then
    Rebuild {
        /// Only this shard
        #[arg(long)]
        shard: Option<u32>,
    },
    /// Show how a search would be answered: by the index, or by a look at which messages
    Explain {
        /// What is looked for
        query: String,
        /// Whose mail: an address
        #[arg(long)]
        account: String,
        /// Where: text (all of a message), body, or the name of a header field
        #[arg(long, default_value = "text")]
        field: String,
    },
}

/// `godwit signing-keys …`
#[derive(Debug, Clone, Subcommand)]
pub enum SigningKeys {
    /// Withdraw all of them, of which one has leaked: what they have signed is believed no more by clients that look, and
    /// the next id token is signed by a new one
    Withdraw,
}

/// `godwit key …`
#[derive(Debug, Clone, Subcommand)]
pub enum Key {
    /// Say in words what a key of the database is
    Explain {
        /// Its bytes in hexadecimal digits
        hex: String,
    },
}
