//! Who may do what: accounts, users, roles, access keys, role sessions, and the policies that decide.
//!
//! A request arrives with an access key id and a signature. [`Directory::resolve`] finds the secret that must have made
//! the signature and the [`Principal`] behind it. [`evaluate`] then decides by the policies of the caller, of its
//! session and of the resource, with IAM's rules. Both answer from memory: a decision costs microseconds and no IO.
//!
//! Changes go through the directory to the metadata store first and to memory after that. Secrets are sealed under a
//! key that is kept outside the database ([`SecretKey`]), redacted in every message and wiped when dropped.

mod directory;
mod name;
mod policy;
mod principal;
mod seal;
mod secret;
mod session_tags;

pub use directory::{
    AccessKey, AccessKeyStatus, Account, AssumeRole, AssumeRoleError, CredentialError, Credentials, Directory,
    DirectoryError, KeyOwner, MAX_ACCESS_KEYS, MAX_ACCOUNTS, MAX_ROLES, MAX_USERS, NewAccessKey, NewRole, PolicyHolder,
    Role, RoleCredentials, RootKey, SessionToken, User,
};
pub use name::{AccessKeyId, EntityName, EntityPath, NameError, PolicyName, SessionName};
pub use policy::{
    Context, Decision, MAX_PRINCIPALS, MAX_STATEMENTS, NamedPrincipal, Policy, PolicyError, PolicyKind, PolicyType,
    PrincipalPattern, Request, ResourcePolicyRules, RuleViolation, STORE_ACTIONS, evaluate, evaluate_trust,
};
pub use principal::{Principal, RoleSession};
pub use seal::{OpenSealError, SECRET_KEY_VARIABLE, Sealer, SecretKey, SecretKeyError};
pub use secret::{RandomError, Secret, SecretError};
pub use session_tags::{SessionTag, SessionTagError, SessionTags};
