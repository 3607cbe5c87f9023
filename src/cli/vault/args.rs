//! What can be typed about secrets. The doc comments are the help texts. No option takes a value: an argument can be seen
//! by every process of the machine.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::fleet::{EnvironmentName, MemberName, VariableName};
use crate::secrets::Recipient;

/// Options of `arcane init`, without `--caddy`.
#[derive(Debug, Args)]
pub(in crate::cli) struct InitVault {
    /// What you are called in the team; your user name when left out.
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<MemberName>,
    /// Make this environment, too; `production` when there is none yet and none is named. May be repeated.
    #[arg(long, value_name = "NAME")]
    pub env: Vec<EnvironmentName>,
    /// Protect the new key with a passphrase.
    #[arg(long)]
    pub passphrase: bool,
    /// Use ~/.ssh/id_ed25519 instead of making a key.
    #[arg(long, conflicts_with = "passphrase")]
    pub ssh: bool,
}

/// Which environment.
#[derive(Debug, Args)]
pub(in crate::cli) struct Environment {
    /// The environment; may be left out when there is just one.
    #[arg(long, value_name = "NAME")]
    pub env: Option<EnvironmentName>,
}

/// The commands below `arcane secrets`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Secrets {
    /// Set a secret; the value comes from standard input, or is asked for.
    Set {
        /// Its name.
        name: VariableName,
        #[command(flatten)]
        at: Environment,
        /// Keep the newline at the end of a single line, which an `echo` adds, too.
        #[arg(long)]
        exact: bool,
    },
    /// Print a secret to a file or a pipe.
    Get {
        /// Its name.
        name: VariableName,
        #[command(flatten)]
        at: Environment,
        /// Print it to a terminal, too.
        #[arg(long)]
        reveal: bool,
    },
    /// List the names, their age, and who set them.
    List {
        #[command(flatten)]
        at: Environment,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove secrets.
    Remove {
        /// Their names.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<VariableName>,
        #[command(flatten)]
        at: Environment,
    },
    /// Edit an environment in $EDITOR, in memory only.
    Edit {
        #[command(flatten)]
        at: Environment,
    },
    /// Set every secret of a file of NAME=value.
    Import {
        /// The file; `-` is standard input.
        file: PathBuf,
        #[command(flatten)]
        at: Environment,
    },
    /// Print an environment as NAME=value to a file or a pipe.
    Export {
        #[command(flatten)]
        at: Environment,
        /// Print it to a terminal, too.
        #[arg(long)]
        reveal: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compare two environments, by names.
    Diff {
        /// One environment.
        one: EnvironmentName,
        /// The other.
        other: EnvironmentName,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Encrypt with a new key for those who may read; every environment when none is named.
    Rotate {
        #[command(flatten)]
        at: Environment,
        /// Go on from the version that is here, and its readers, though this clone has seen a newer one.
        #[arg(long, requires = "env")]
        accept: bool,
    },
    /// Find what is missing, unused, weak, or known by somebody who left; every environment when none is named.
    Check {
        #[command(flatten)]
        at: Environment,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Secrets {
    /// Whether JSON was asked for.
    pub(in crate::cli) const fn json(&self) -> bool {
        match self {
            Self::List { json, .. }
            | Self::Export { json, .. }
            | Self::Diff { json, .. }
            | Self::Check { json, .. } => *json,
            _ => false,
        }
    }
}

/// The commands below `arcane team`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Team {
    /// Let somebody read environments.
    Add {
        /// What they are called.
        name: MemberName,
        /// Their public key, age1… or ssh-ed25519 …; the one in the team's files when left out. May be repeated.
        #[arg(long, value_name = "KEY", conflicts_with = "all_keys")]
        key: Vec<Recipient>,
        /// Take every key that the team's files have of them.
        #[arg(long)]
        all_keys: bool,
        /// An environment; may be left out when there is just one, and repeated.
        #[arg(long, value_name = "NAME")]
        env: Vec<EnvironmentName>,
    },
    /// Let somebody read no longer, and say which values they have known.
    Remove {
        /// What they are called.
        name: MemberName,
        /// Only this one of their keys, everywhere.
        #[arg(long, value_name = "KEY", conflicts_with = "env")]
        key: Option<Recipient>,
        /// An environment; all when left out. May be repeated.
        #[arg(long, value_name = "NAME")]
        env: Vec<EnvironmentName>,
    },
    /// List the members and what they may read.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Options of `arcane run`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    #[command(flatten)]
    pub(super) at: Environment,
    /// Only these secrets, separated by commas.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub only: Vec<VariableName>,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// The commands below `arcane git`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Git {
    /// Teach this clone's git about the vault: filter, diff, merge, and a look at every commit.
    Install,
    /// Add a file for other readers than before, after .gitattributes has named them.
    Reseal {
        /// The file.
        path: PathBuf,
        /// The environment that .gitattributes names for it.
        #[arg(long, value_name = "NAME")]
        env: EnvironmentName,
    },
    /// Encrypt a file on its way into git; git calls this.
    #[command(hide = true)]
    Clean {
        /// The file, counted from the root.
        path: PathBuf,
    },
    /// Decrypt a file on its way out of git; git calls this.
    #[command(hide = true)]
    Smudge {
        /// The file, counted from the root.
        path: PathBuf,
    },
    /// Show an encrypted file to `git diff`; git calls this.
    #[command(hide = true)]
    Textconv {
        /// A file with what is to be shown.
        path: PathBuf,
    },
    /// Merge two versions of an encrypted file; git calls this.
    #[command(hide = true)]
    Merge {
        /// A file with the version that both come from.
        base: PathBuf,
        /// A file with our version, which gets the result.
        ours: PathBuf,
        /// A file with theirs.
        theirs: PathBuf,
        /// The file, counted from the root.
        path: PathBuf,
    },
}

/// Options of `arcane scan`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Scan {
    /// A file or a directory; this one when left out.
    #[arg(default_value = ".", conflicts_with = "staged")]
    pub path: PathBuf,
    /// Look at what the next commit adds or changes.
    #[arg(long)]
    pub staged: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
