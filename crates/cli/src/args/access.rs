//! Arguments of commands about who one is, tokens and namespaces. No secret is ever an argument: other users of the
//! machine see those.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What can be done to tokens.
#[derive(Subcommand, Clone, Debug)]
pub enum TokenCommand {
    /// Create a token and print it, once
    #[command(after_help = super::examples::TOKEN_CREATE)]
    Create(TokenCreateArgs),
    /// List tokens: an administrator sees all, others their own
    #[command(after_help = super::examples::TOKEN_LIST)]
    List,
    /// Revoke tokens
    #[command(after_help = super::examples::TOKEN_REVOKE)]
    Revoke {
        /// Ids of tokens
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
}

/// Arguments of `token create`.
#[derive(Args, Clone, Debug)]
pub struct TokenCreateArgs {
    /// User it authenticates; for an agent, its node
    #[arg(long, value_name = "NAME", required_unless_present = "join")]
    pub user: Option<String>,
    /// Create a token with which a machine of this --kind joins; by default for one machine, within 1h
    #[arg(long, requires = "kind")]
    pub join: bool,
    /// With --join: number of machines that may join; failed joins do not count [default: 1]
    #[arg(long, value_name = "N", requires = "join")]
    pub uses: Option<u32>,
    /// What a user may do: viewer, submitter, operator or admin
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Namespace of the role, or '*' for all and the cluster itself; may be repeated [default: the default namespace]
    #[arg(long, value_name = "NAMESPACE", requires = "role")]
    pub namespace: Vec<String>,
    /// Lifetime, or never [default: 30d]
    #[arg(long, value_name = "TIME", visible_alias = "ttl")]
    pub expires: Option<String>,
    /// Kind of holder: user, agent or server [default: user]
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Note, shown in lists
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
}

/// Flags of `taskyard login`.
#[derive(Args, Clone, Debug)]
pub struct LoginArgs {
    /// Certificate of the authority to trust (ca.crt of the cluster), saved with the token [default: the system's
    /// authorities]
    #[arg(long, value_name = "FILE", env = "TASKYARD_CA")]
    pub ca: Option<PathBuf>,
}

/// What can be done to namespaces.
#[derive(Subcommand, Clone, Debug)]
pub enum NamespaceCommand {
    /// Create a namespace
    #[command(after_help = super::examples::NAMESPACE_CREATE)]
    Create {
        /// Name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List namespaces whose jobs you may see
    #[command(after_help = super::examples::NAMESPACE_LIST)]
    List,
}
