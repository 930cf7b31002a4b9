//! Records of an account driven by people and SDKs: users and role sessions at their daily work, refusals, sign-ins, and
//! now and then something an investigator looks for.

use super::moment::Moment;
use super::services::Scene;
use super::world::{Role, User};

/// An operation: share in ten thousand, source, name, whether it only reads, whether roles are refused it, and what it
/// asks.
struct Work(u32, &'static str, &'static str, bool, bool, Ask);

/// The shape of requestParameters and responseElements.
enum Ask {
    /// `null`.
    Nothing,
    /// One instance in a filter.
    InstanceFilter,
    /// A set of instances.
    Instances,
    /// An instance and a second value.
    Instance(&'static str),
    /// A secret.
    Secret,
    /// A model.
    Model,
    /// A command and an instance.
    Command,
    /// A page of something, with its long token.
    Page,
    /// Many named parameters, each a resource.
    Parameters,
    /// An IAM user; the answer describes it.
    User,
    /// A policy that goes to a user.
    Policy,
    /// A named trail.
    Trail,
    /// A security group that opens a port.
    Ingress,
}

const WORK: &[Work] = &[
    Work(3500, "ssm", "DescribeInstanceInformation", true, false, Ask::InstanceFilter),
    Work(1900, "ec2", "DescribeInstances", true, false, Ask::Instances),
    Work(850, "ec2", "GetPasswordData", true, true, Ask::Instance("")),
    Work(645, "secretsmanager", "GetSecretValue", true, false, Ask::Secret),
    Work(480, "ec2", "DescribeInstanceAttribute", true, true, Ask::Instance("userData")),
    Work(322, "bedrock", "GetFoundationModelAvailability", true, false, Ask::Model),
    Work(258, "ssm", "GetCommandInvocation", true, false, Ask::Command),
    Work(161, "secretsmanager", "BatchGetSecretValue", true, false, Ask::Nothing),
    Work(161, "ssm", "DescribeParameters", true, false, Ask::Page),
    Work(161, "ssm", "GetParameters", true, false, Ask::Parameters),
    Work(300, "sts", "GetCallerIdentity", true, false, Ask::Nothing),
    Work(97, "ssm", "StartSession", false, false, Ask::Instance("SSM-SessionManagerRunShell")),
    Work(97, "ssm", "TerminateSession", false, false, Ask::Command),
    Work(97, "ec2-instance-connect", "SendSSHPublicKey", false, false, Ask::Instance("ec2-user")),
    Work(65, "ssm", "SendCommand", false, false, Ask::Instance("AWS-RunShellScript")),
    Work(40, "iam", "CreateAccessKey", false, false, Ask::User),
    Work(20, "iam", "CreateUser", false, false, Ask::User),
    Work(20, "iam", "AttachUserPolicy", false, false, Ask::Policy),
    Work(20, "ec2", "AuthorizeSecurityGroupIngress", false, false, Ask::Ingress),
    Work(8, "cloudtrail", "StopLogging", false, false, Ask::Trail),
    Work(4, "cloudtrail", "DeleteTrail", false, true, Ask::Trail),
    Work(20, "ec2", "RunInstances", false, true, Ask::Instance("m7g.large")),
    Work(40, "rds", "DescribeDBInstances", true, false, Ask::Nothing),
    Work(60, "lambda", "ListFunctions20150331", true, false, Ask::Page),
];

/// Shares in ten thousand of what is not in the table.
const SIGN_INS: usize = 60;
const ROLES_TAKEN: usize = 390;

/// Writes one record of people's mix.
pub fn write(scene: &mut Scene<'_>) {
    let mut at = scene.draw.below(10_000);
    if at < SIGN_INS {
        return sign_in(scene);
    }
    at -= SIGN_INS;
    if at < ROLES_TAKEN {
        return role_taken(scene);
    }
    let total: u32 = WORK.iter().map(|work| work.0).sum();
    let mut at = scene.draw.below(total as usize) as u32;
    for work in WORK {
        if at < work.0 {
            return daily_work(scene, work);
        }
        at -= work.0;
    }
}

fn daily_work(scene: &mut Scene<'_>, Work(_, service, name, read_only, refused, ask): &Work) {
    let account = scene.account;
    let source = format!("{service}.amazonaws.com");
    // Seven of ten are users, as in the records this is modelled on; what is refused is refused to roles.
    let denied = *refused && scene.draw.chance(0.97);
    if denied || scene.draw.chance(0.12) {
        let role = scene.draw.favourite(&account.roles);
        by_role(scene, role, &source, name);
    } else if scene.draw.chance(0.02) {
        by_root(scene, &source, name);
    } else {
        let user = scene.draw.favourite(&account.users);
        by_user(scene, user, &source, name);
    }
    if denied {
        refusal(scene, service, name);
    }
    parameters(scene, ask, denied);
    scene.uuid("requestID");
    scene.uuid("eventID");
    scene.put(format_args!(",\"readOnly\":{read_only}"));
    if let (Ask::Parameters, false) = (ask, denied) {
        let region = scene.region;
        scene.out.push_str(",\"resources\":[");
        for at in 0..10 {
            let comma = if at == 0 { "" } else { "," };
            scene.put(format_args!(
                "{comma}{{\"ARN\":\"arn:aws:ssm:{region}:{id}:parameter/service/credentials-{at}\",\"accountId\":\"{id}\"}}",
                id = account.id
            ));
        }
        scene.out.push(']');
    }
    end(scene, "AwsApiCall", Some(service));
}

fn refusal(scene: &mut Scene<'_>, service: &str, name: &str) {
    let (account, region) = (&scene.account.id, scene.region);
    if service != "ec2" {
        scene.out.push_str(",\"errorCode\":\"AccessDenied\",\"errorMessage\":\"Access denied by policy\"");
        return;
    }
    scene.put(format_args!(
        ",\"errorCode\":\"Client.UnauthorizedOperation\",\"errorMessage\":\"You are not authorized to perform this \
         operation: ec2:{name} on resource: arn:aws:ec2:{region}:{account}:instance/* because no identity-based policy \
         allows the action. Encoded authorization failure message: "
    ));
    scene.draw.base64(scene.out, 700);
    scene.out.push('"');
}

fn parameters(scene: &mut Scene<'_>, ask: &Ask, denied: bool) {
    let (account, region) = (scene.account, scene.region);
    scene.out.push_str(",\"requestParameters\":");
    let instance = format!("i-{:017x}", 0x0a00_0000_0000_0000_u64 + scene.draw.skewed(500) as u64 * 0x1f3_7a91);
    let number = scene.draw.skewed(50);
    let user = &account.users[number % account.users.len()];
    match ask {
        Ask::Nothing => scene.out.push_str("null"),
        Ask::InstanceFilter => {
            scene.put(format_args!("{{\"filters\":[{{\"key\":\"InstanceIds\",\"values\":[\"{instance}\"]}}]}}"))
        }
        Ask::Instances => scene.put(format_args!(
            "{{\"filterSet\":{{}},\"instancesSet\":{{\"items\":[{{\"instanceId\":\"{instance}\"}}]}}}}"
        )),
        Ask::Instance("") => scene.put(format_args!("{{\"instanceId\":\"{instance}\"}}")),
        Ask::Instance(what) => {
            scene.put(format_args!("{{\"instanceId\":\"{instance}\",\"attribute\":\"{what}\",\"dryRun\":false}}"));
        }
        Ask::Secret => scene.put(format_args!(
            "{{\"secretId\":\"arn:aws:secretsmanager:{region}:{}:secret:service/secret-{number}\"}}",
            account.id
        )),
        Ask::Model => scene.put(format_args!("{{\"modelId\":\"vendor.model-{number}-v1:0\"}}")),
        Ask::Command => {
            scene.out.push_str("{\"commandId\":\"");
            scene.draw.uuid(scene.out);
            scene.put(format_args!("\",\"instanceId\":\"{instance}\"}}"));
        }
        Ask::Page => {
            scene.out.push_str("{\"maxResults\":50,\"nextToken\":\"");
            scene.draw.base64(scene.out, 600);
            scene.out.push_str("\"}");
        }
        Ask::Parameters => {
            scene.out.push_str("{\"names\":[");
            for at in 0..10 {
                let comma = if at == 0 { "" } else { "," };
                scene.put(format_args!("{comma}\"/service/credentials-{at}\""));
            }
            scene.out.push_str("],\"withDecryption\":true}");
        }
        Ask::User => scene.put(format_args!("{{\"userName\":\"{}\"}}", user.name)),
        Ask::Policy => scene.put(format_args!(
            "{{\"userName\":\"{}\",\"policyArn\":\"arn:aws:iam::aws:policy/{}\"}}",
            user.name,
            ["ReadOnlyAccess", "AmazonS3ReadOnlyAccess", "AdministratorAccess"][number % 3]
        )),
        Ask::Trail => scene
            .put(format_args!("{{\"name\":\"arn:aws:cloudtrail:{region}:{}:trail/management-events\"}}", account.id)),
        Ask::Ingress => scene.put(format_args!(
            "{{\"groupId\":\"sg-{number:08x}\",\"ipPermissions\":{{\"items\":[{{\"ipProtocol\":\"tcp\",\"fromPort\":22,\
             \"toPort\":22,\"ipRanges\":{{\"items\":[{{\"cidrIp\":\"0.0.0.0/0\"}}]}}}}]}}}}"
        )),
    }
    match ask {
        Ask::User if !denied => scene.put(format_args!(
            ",\"responseElements\":{{\"user\":{{\"userName\":\"{name}\",\"userId\":\"{id}\",\"path\":\"/\",\
             \"arn\":\"arn:aws:iam::{account}:user/{name}\"}}}}",
            name = user.name,
            id = user.principal_id,
            account = account.id
        )),
        Ask::Ingress if !denied => scene.out.push_str(",\"responseElements\":{\"_return\":true}"),
        _ => scene.out.push_str(",\"responseElements\":null"),
    }
}

/// Begins a record made with a user's own key.
pub fn by_user(scene: &mut Scene<'_>, user: &User, source: &str, name: &str) {
    let id = &scene.account.id;
    // A key serves four months; the last users of the list are rarely seen.
    let key = &user.keys[(scene.moment.day / 120) as usize % user.keys.len()];
    let address = address(scene, &user.addresses);
    scene.put(format_args!(
        "{{\"eventVersion\":\"1.09\",\"userIdentity\":{{\"type\":\"IAMUser\",\"principalId\":\"{principal}\",\
         \"arn\":\"arn:aws:iam::{id}:user/{user}\",\"accountId\":\"{id}\",\"accessKeyId\":\"{key}\",\
         \"userName\":\"{user}\"}}",
        principal = user.principal_id,
        user = user.name
    ));
    place(scene, source, name, &address, user.agent);
}

fn by_role(scene: &mut Scene<'_>, role: &Role, source: &str, name: &str) {
    let id = &scene.account.id;
    // Sessions last six hours; their key follows from role, day and quarter of the day.
    let quarter = scene.moment.second / 21_600;
    let session = u64::from(scene.moment.day) * 4 + u64::from(quarter);
    let key = format!("ASIA{}{:06}", &role.principal_id[4..14], session % 1_000_000);
    let created = Moment { second: quarter * 21_600, ..scene.moment }.text();
    let address = address(scene, &role.addresses);
    scene.put(format_args!(
        "{{\"eventVersion\":\"1.09\",\"userIdentity\":{{\"type\":\"AssumedRole\",\
         \"principalId\":\"{principal}:session-{session}\",\
         \"arn\":\"arn:aws:sts::{id}:assumed-role/{role}/session-{session}\",\"accountId\":\"{id}\",\
         \"accessKeyId\":\"{key}\",\"sessionContext\":{{\"sessionIssuer\":{{\"type\":\"Role\",\
         \"principalId\":\"{principal}\",\"arn\":\"arn:aws:iam::{id}:role/{role}\",\"accountId\":\"{id}\",\
         \"userName\":\"{role}\"}},\"attributes\":{{\"creationDate\":\"{created}\",\"mfaAuthenticated\":\"false\"}}}}}}",
        principal = role.principal_id,
        role = role.name
    ));
    place(scene, source, name, &address, role.agent);
}

fn by_root(scene: &mut Scene<'_>, source: &str, name: &str) {
    let account = scene.account;
    let (id, created) = (&account.id, Moment { second: 0, ..scene.moment }.text());
    let address = address(scene, &account.users[0].addresses);
    scene.put(format_args!(
        "{{\"eventVersion\":\"1.08\",\"userIdentity\":{{\"type\":\"Root\",\"principalId\":\"{id}\",\
         \"arn\":\"arn:aws:iam::{id}:root\",\"accountId\":\"{id}\",\"accessKeyId\":\"\",\"sessionContext\":{{\
         \"sessionIssuer\":{{}},\"webIdFederationData\":{{}},\"attributes\":{{\"creationDate\":\"{created}\",\
         \"mfaAuthenticated\":\"true\"}}}}}}"
    ));
    place(scene, source, name, &address, "console.amazonaws.com");
}

/// Usually one of the caller's own addresses; one call in five hundred comes from a new one.
fn address(scene: &mut Scene<'_>, own: &[String]) -> String {
    if scene.draw.chance(0.002) { scene.draw.address() } else { scene.draw.favourite(own).clone() }
}

fn place(scene: &mut Scene<'_>, source: &str, name: &str, address: &str, agent: &str) {
    let (time, region) = (scene.moment.text(), scene.region);
    scene.put(format_args!(
        ",\"eventTime\":\"{time}\",\"eventSource\":\"{source}\",\"eventName\":\"{name}\",\"awsRegion\":\"{region}\",\
         \"sourceIPAddress\":\"{address}\",\"userAgent\":\"{agent}\""
    ));
}

fn end(scene: &mut Scene<'_>, event_type: &str, host: Option<&str>) {
    let (account, region) = (&scene.account.id, scene.region);
    scene.put(format_args!(
        ",\"eventType\":\"{event_type}\",\"managementEvent\":true,\"recipientAccountId\":\"{account}\",\
         \"eventCategory\":\"Management\""
    ));
    if let Some(host) = host {
        scene.put(format_args!(
            ",\"tlsDetails\":{{\"tlsVersion\":\"TLSv1.3\",\"cipherSuite\":\"TLS_AES_128_GCM_SHA256\",\
             \"clientProvidedHostHeader\":\"{host}.{region}.amazonaws.com\"}}"
        ));
    }
    scene.out.push('}');
}

/// Appends the parameters and the answer of AssumeRole.
pub fn assumed_role(scene: &mut Scene<'_>, account: &str, role: &str, session: &str, token: usize) {
    let name = role.rsplit('/').next().unwrap_or(role);
    let expires = scene.moment.date.strftime("%b %-d, %Y, 11:00:00 PM");
    scene.put(format_args!(
        ",\"requestParameters\":{{\"roleArn\":\"arn:aws:iam::{account}:role/{role}\",\"roleSessionName\":\"{session}\",\
         \"durationSeconds\":900}},\"responseElements\":{{\"credentials\":{{\"accessKeyId\":\"ASIA"
    ));
    scene.draw.base32(scene.out, 16);
    scene.put(format_args!("\",\"sessionToken\":\""));
    scene.draw.base64(scene.out, token);
    scene.put(format_args!("\",\"expiration\":\"{expires}\"}},\"assumedRoleUser\":{{\"assumedRoleId\":\"AROA"));
    scene.draw.base32(scene.out, 17);
    scene.put(format_args!(":{session}\",\"arn\":\"arn:aws:sts::{account}:assumed-role/{name}/{session}\"}}}}"));
}

fn role_taken(scene: &mut Scene<'_>) {
    let account = scene.account;
    let user = scene.draw.favourite(&account.users);
    let role = scene.draw.favourite(&account.roles);
    by_user(scene, user, "sts.amazonaws.com", "AssumeRole");
    // One in eight goes to an account next door: its number differs in the last digit.
    let target = match scene.draw.chance(0.125) {
        true => format!("{}{}", &account.id[..11], if account.id.ends_with('7') { '3' } else { '7' }),
        false => account.id.clone(),
    };
    assumed_role(scene, &target, &role.name, &format!("from-{}", user.name), 700);
    scene.uuid("requestID");
    scene.uuid("eventID");
    scene.put(format_args!(
        ",\"readOnly\":true,\"resources\":[{{\"accountId\":\"{target}\",\"type\":\"AWS::IAM::Role\",\
         \"ARN\":\"arn:aws:iam::{target}:role/{}\"}}]",
        role.name
    ));
    end(scene, "AwsApiCall", Some("sts"));
}

fn sign_in(scene: &mut Scene<'_>) {
    let account = scene.account;
    let user = scene.draw.favourite(&account.users);
    let address = address(scene, &user.addresses);
    let failed = scene.draw.chance(0.2);
    scene.put(format_args!(
        "{{\"eventVersion\":\"1.08\",\"userIdentity\":{{\"type\":\"IAMUser\",\"principalId\":\"{principal}\",\
         \"arn\":\"arn:aws:iam::{id}:user/{name}\",\"accountId\":\"{id}\",\"accessKeyId\":\"\",\"userName\":\"{name}\"}}",
        principal = user.principal_id,
        id = account.id,
        name = user.name
    ));
    let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
    place(scene, "signin.amazonaws.com", "ConsoleLogin", &address, agent);
    if failed {
        scene.out.push_str(",\"errorMessage\":\"Failed authentication\"");
    }
    let outcome = if failed { "Failure" } else { "Success" };
    let mfa = if scene.draw.chance(0.6) { "Yes" } else { "No" };
    scene.put(format_args!(
        ",\"requestParameters\":null,\"responseElements\":{{\"ConsoleLogin\":\"{outcome}\"}},\"additionalEventData\":{{\
         \"LoginTo\":\"https://console.aws.amazon.com/console/home?hashArgs=%23&isauthcode=true\",\
         \"MobileVersion\":\"No\",\"MFAUsed\":\"{mfa}\"}}"
    ));
    scene.uuid("eventID");
    scene.out.push_str(",\"readOnly\":false");
    end(scene, "AwsConsoleSignIn", None);
}
