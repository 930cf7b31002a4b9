//! The invented organization whose traffic is generated: accounts with users, roles, buckets and keys of their own.

use super::draw::Draw;

const REGIONS: &[&str] =
    &["us-east-1", "eu-central-1", "us-west-2", "eu-west-1", "ap-southeast-2", "us-west-1", "ap-northeast-1"];
const NAMES: &[&str] = &[
    "deploy", "build", "backup", "ops", "report", "audit", "data", "web", "search", "mail", "queue", "cache", "batch",
    "edge", "image", "video", "order", "stock", "price", "login",
];
const AGENTS: &[&str] = &[
    "aws-cli/2.17.20 md/awscrt#0.20.11 ua/2.0 os/linux#6.1.0 md/arch#x86_64 lang/python#3.11.9 md/prompt#off",
    "Boto3/1.34.151 md/Botocore#1.34.151 ua/2.0 os/linux#5.15.0 md/arch#x86_64 lang/python#3.10.12 cfg/retry-mode#legacy",
    "aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.5 md/GOOS#linux md/GOARCH#amd64 api/ssm#1.52.2",
    "APN/1.0 HashiCorp/1.0 Terraform/1.9.3 (+https://www.terraform.io) terraform-provider-aws/5.60.0",
    "console.ec2.amazonaws.com",
    "[aws-cli/1.33.35 Python/3.9.18 Linux/5.10.220 botocore/1.34.153]",
];

/// Everybody and everything that appears in the records.
pub struct World {
    /// The accounts, the busiest first.
    pub accounts: Vec<Account>,
}

/// One AWS account.
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// Where nearly everything happens, and where the rest does.
    pub regions: [&'static str; 2],
    /// People and programs with keys of their own, the busiest first.
    pub users: Vec<User>,
    /// Roles, the busiest first.
    pub roles: Vec<Role>,
    /// Buckets; the first one takes the logs.
    pub buckets: Vec<String>,
    /// ARN of the key that encrypts the logs.
    pub kms_key: String,
    /// Endpoint through which services deliver.
    pub vpc_endpoint: String,
    /// Flow log that is delivered.
    pub flow_log: String,
    /// Base64 encryption context as S3 records it.
    pub encryption_context: String,
    /// Its share of all events.
    pub share: f64,
}

/// An IAM user.
pub struct User {
    /// Name.
    pub name: String,
    /// `AIDA...`.
    pub principal_id: String,
    /// Long-lived access keys, used one after the other.
    pub keys: Vec<String>,
    /// Where the user works from.
    pub addresses: Vec<String>,
    /// What the user works with.
    pub agent: &'static str,
}

/// An IAM role.
pub struct Role {
    /// Name.
    pub name: String,
    /// `AROA...`.
    pub principal_id: String,
    /// Where its sessions come from.
    pub addresses: Vec<String>,
    /// What its sessions use.
    pub agent: &'static str,
}

impl World {
    /// Invents an organization.
    pub fn new(seed: u64, accounts: usize) -> Self {
        let weights: Vec<f64> = (0..accounts).map(|at| 1.0 / (at as f64 + 1.0).powf(0.7)).collect();
        let total: f64 = weights.iter().sum();
        let accounts = weights.iter().enumerate().map(|(at, weight)| Account::new(seed, at, weight / total)).collect();
        Self { accounts }
    }
}

impl Account {
    fn new(seed: u64, number: usize, share: f64) -> Self {
        // Days are pieces 0.., so accounts take the other end.
        let draw = &mut Draw::of(seed, [u32::MAX, number as u32]);
        let id = format!("{:012}", 100_000_000_000 + (number as u64 * 7_919_000_003) % 900_000_000_000);
        let regions = [REGIONS[number % REGIONS.len()], REGIONS[(number + 1) % REGIONS.len()]];
        let users = (0..40).map(|at| User::new(draw, at)).collect();
        let roles = (0..15).map(|at| Role::new(draw, at)).collect();
        let mut buckets = vec![format!("acct{number}-logs")];
        buckets.extend((0..20).map(|at| format!("acct{number}-{}-{at}", NAMES[at % NAMES.len()])));
        let key = draw.text("", Draw::uuid);
        Self {
            kms_key: format!("arn:aws:kms:{}:{id}:key/{key}", regions[0]),
            vpc_endpoint: draw.text("vpce-", |draw, out| draw.hex(out, 8)),
            flow_log: draw.text("fl-", |draw, out| draw.hex(out, 17)),
            encryption_context: draw.text("eyJhd3M6", |draw, out| draw.base64(out, 112)),
            users,
            roles,
            buckets,
            regions,
            id,
            share,
        }
    }
}

impl User {
    fn new(draw: &mut Draw, number: usize) -> Self {
        Self {
            name: format!("{}-{number}", NAMES[number % NAMES.len()]),
            principal_id: draw.text("AIDA", |draw, out| draw.base32(out, 17)),
            keys: (0..3).map(|_| draw.text("AKIA", |draw, out| draw.base32(out, 16))).collect(),
            addresses: (0..3).map(|_| draw.address()).collect(),
            agent: *draw.favourite(AGENTS),
        }
    }
}

impl Role {
    fn new(draw: &mut Draw, number: usize) -> Self {
        Self {
            name: format!("{}-role-{number}", NAMES[(number * 3) % NAMES.len()]),
            principal_id: draw.text("AROA", |draw, out| draw.base32(out, 17)),
            addresses: (0..4).map(|_| draw.address()).collect(),
            agent: *draw.favourite(AGENTS),
        }
    }
}
