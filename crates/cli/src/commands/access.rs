//! `login`, `logout`, `whoami`, `token`, `namespace`.

use super::Each;
use crate::args::{LoginArgs, NamespaceCommand, TokenCommand, TokenCreateArgs};
use crate::context::{Context, user};
use crate::exit::{self, Failure};
use crate::show::table::Facts;
use crate::show::{Align, Format, Out, Table, output::say, style, text};
use crate::{Globals, prompt};
use taskyard_client::api::{
    CreateToken, ErrorCode, Grant, Invalid, Namespace, Quantity, Secret, Token, Whoami,
};
use taskyard_client::credentials::{Login, TokenStore, read_authority};
use taskyard_client::{Client, Credentials, Env, Error, Patience};

/// Reads a token, sees whether the server takes it, and keeps it for that server.
pub(crate) async fn login(globals: &Globals, args: &LoginArgs) -> Result<u8, Failure> {
    let around = Env::of_process()?;
    let found = around.find(globals.server.as_deref())?;
    let urls = found.urls.clone();
    let place = urls.join(", ");
    let secret = Secret::read("token", &prompt::secret(&format!("Token for {place}: "))?)?;
    let authority = args.ca.as_deref().map(|path| read_authority("--ca", path)).transpose()?;
    let credentials = Credentials::of(secret.clone()).with_authority(authority.clone());
    let client = Client::with(found, &user(globals), Patience::default(), credentials)?;
    let who = client.whoami().await.map_err(|error| match error {
        // The remedy of the server, to log in, is what was just tried.
        Error::Api(error) if error.code == ErrorCode::Unauthenticated => {
            let remedy = "ask an administrator for a new token";
            Error::Api(error.remedy(remedy)).into()
        }
        error => Failure::from(error),
    })?;
    if who.kind == "local" {
        say(&format!("{place} requires no token, so there is none to save"));
    } else {
        TokenStore::of(&around).keep(&urls, &Login { user: who.user.clone(), secret, authority })?;
        say(&format!("logged in at {place} as {}", who.user));
    }
    if globals.server.is_some() {
        let kept = around.keep_servers(&urls)?;
        say(&match (kept, &around.server) {
            (_, Some(other)) => format!("commands still use {other}, because TASKYARD_SERVER names it"),
            (Err(config), None) => {
                format!("commands still use the server that {} names", config.display())
            }
            (Ok(()), None) => format!("commands now use {place}, unless --server names another"),
        });
    }
    Ok(exit::OK)
}

/// Forgets what `login` keeps. The token stays good: that is for `token revoke`.
pub(crate) fn logout(globals: &Globals) -> Result<u8, Failure> {
    let around = Env::of_process()?;
    let urls = around.find(globals.server.as_deref())?.urls;
    let gone = TokenStore::of(&around).forget(&urls)?;
    if around.forget_servers(&urls)? {
        say(&format!("commands no longer use {} unless you name it", urls.join(", ")));
    }
    match gone.is_empty() {
        true => say(&format!("there was no login at {}", urls.join(", "))),
        false => say(&format!("logged out at {}", gone.join(", "))),
    }
    Ok(exit::OK)
}

pub(crate) async fn whoami(ctx: &mut Context) -> Result<u8, Failure> {
    let who = ctx.client.whoami().await?;
    match ctx.out.format {
        Format::Json | Format::Jsonl => ctx.out.json(&who)?,
        Format::Ids => ctx.out.line(&who.user)?,
        Format::Table => write_whoami(&who, &mut ctx.out)?,
    }
    Ok(exit::OK)
}

pub(crate) fn write_whoami(who: &Whoami, out: &mut Out) -> Result<(), Failure> {
    let mut facts = Facts::default();
    facts.painted("user", who.user.clone(), style::HEAD);
    let kind = match who.kind.as_str() {
        "local" => "local: this server asks for no credential",
        kind => kind,
    };
    facts.add("kind", kind.to_owned());
    facts.add("grants", grants(&who.grants).replace(", ", "\n"));
    if let Some(token) = &who.token {
        facts.add("token", token.id.clone());
        facts.add("expires", expiry(token, "never"));
        facts.add("label", token.label.clone().unwrap_or_default());
    }
    facts.write(out)
}

pub(crate) async fn token(ctx: &mut Context, command: TokenCommand) -> Result<u8, Failure> {
    match command {
        TokenCommand::Create(args) => create_token(ctx, args).await,
        TokenCommand::List => {
            let tokens = ctx.client.tokens().await?.items;
            let none = "no tokens; create one with `taskyard token create`";
            ctx.out.table_or_list(&tokens, none, |token| token.id.clone(), token_table)?;
            Ok(exit::OK)
        }
        TokenCommand::Revoke { ids } => {
            let mut each = Each::new();
            for id in &ids {
                let Some(token) = each.take(ctx.client.revoke_token(id).await)? else { continue };
                match ctx.out.format {
                    Format::Json | Format::Jsonl => ctx.out.json(&token)?,
                    Format::Ids => ctx.out.line(&token.id)?,
                    Format::Table => {
                        ctx.out.line(&format!("token {} of {} revoked", token.id, token.user))?
                    }
                }
            }
            Ok(each.code())
        }
    }
}

/// Its text alone is on standard output, so that it can go into a file or a store of secrets without passing a screen.
async fn create_token(ctx: &mut Context, args: TokenCreateArgs) -> Result<u8, Failure> {
    let create = wish(args, ctx.namespace.as_deref());
    let flag = |e: Invalid| match e.field.as_str() {
        "user" | "kind" | "label" | "role" | "namespace" | "expires" | "join" | "uses" => {
            let flag = format!("--{}", e.field);
            e.in_field(flag)
        }
        "grants" => e.in_field("--role"),
        _ => e,
    };
    create.check().map_err(flag)?;
    let created = ctx.client.create_token(&create).await?;
    match ctx.out.format {
        Format::Json | Format::Jsonl => ctx.out.json(&created)?,
        Format::Ids => ctx.out.line(&created.token.id)?,
        Format::Table => ctx.out.line(created.secret.expose())?,
    }
    ctx.out.flush()?;
    let token = &created.token;
    let what = if token.grants.is_empty() { token.kind.clone() } else { grants(&token.grants) };
    let often = match token.uses {
        Some(uses) if uses > 1 => format!(", for {uses} machines"),
        _ => String::new(),
    };
    say(&format!(
        "token {} for {} ({what}), valid until {}{often}; it is shown only now",
        token.id,
        token.user,
        expiry(token, "it is revoked")
    ));
    Ok(exit::OK)
}

fn wish(args: TokenCreateArgs, default: Option<&str>) -> CreateToken {
    let TokenCreateArgs { user, join, uses, role, namespace, expires, kind, label } = args;
    let user = user.unwrap_or_else(|| "joining".into());
    let places = match (namespace.is_empty(), default) {
        (true, default) => vec![default.unwrap_or("default").to_owned()],
        (false, _) => namespace,
    };
    let grants = role
        .map(|role| places.into_iter().map(|namespace| Grant { namespace, role: role.clone() }).collect());
    CreateToken {
        user,
        kind,
        label,
        grants: grants.unwrap_or_default(),
        expires: expires.map(Quantity),
        join,
        uses,
    }
}

fn grants(grants: &[Grant]) -> String {
    let words = grants.iter().map(|grant| match grant.namespace.as_str() {
        "*" => format!("{} everywhere", grant.role),
        namespace => format!("{} in {namespace}", grant.role),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn expiry(token: &Token, never: &str) -> String {
    token.expires_at_ms.map_or_else(|| never.to_owned(), text::time)
}

pub(crate) fn token_table(tokens: &[Token]) -> Table {
    let mut table = Table::new(&[
        ("ID", Align::Left),
        ("USER", Align::Flex),
        ("KIND", Align::Left),
        ("STATE", Align::Left),
        ("GRANTS", Align::Flex),
        ("EXPIRES", Align::Left),
        ("LABEL", Align::Flex),
    ])
    .less_important(&["LABEL", "KIND", "EXPIRES"]);
    for token in tokens {
        table.row(vec![
            token.id.clone(),
            token.user.clone(),
            token.kind.clone(),
            token.state.name().to_owned(),
            grants(&token.grants),
            expiry(token, "never"),
            token.label.clone().unwrap_or_default(),
        ]);
    }
    table
}

pub(crate) async fn namespace(ctx: &mut Context, command: NamespaceCommand) -> Result<u8, Failure> {
    let made = matches!(command, NamespaceCommand::Create { .. });
    let mut was_there = false;
    let namespaces = match command {
        NamespaceCommand::Create { name } => {
            taskyard_client::api::validate::name("NAME", &name)?;
            // Creating it twice is no error, and the answer is the same: only this tells a mistyped name that exists.
            was_there = ctx.client.namespaces().await?.items.iter().any(|namespace| namespace.name == name);
            vec![ctx.client.create_namespace(&name).await?]
        }
        NamespaceCommand::List => ctx.client.namespaces().await?.items,
    };
    match (ctx.out.format, made) {
        (Format::Table, true) => {
            let what = if was_there { "exists already" } else { "created" };
            ctx.out.line(&format!("namespace {} {what}", namespaces[0].name))?;
        }
        (Format::Json | Format::Jsonl, true) => ctx.out.json(&namespaces[0])?,
        _ => {
            let none = "no namespaces that you may see";
            ctx.out.table_or_list(&namespaces, none, |namespace| namespace.name.clone(), namespace_table)?;
        }
    }
    Ok(exit::OK)
}

fn namespace_table(namespaces: &[Namespace]) -> Table {
    let mut table = Table::new(&[("NAMESPACE", Align::Flex), ("CREATED", Align::Left)]);
    for namespace in namespaces {
        let created = namespace.created_at_ms.map(text::time).unwrap_or_default();
        table.row(vec![namespace.name.clone(), created]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_go_where_they_are_said_to() {
        let args = |namespace: &[&str]| TokenCreateArgs {
            user: Some("ada".into()),
            join: false,
            uses: None,
            role: Some("viewer".into()),
            namespace: namespace.iter().map(|n| (*n).to_owned()).collect(),
            expires: None,
            kind: None,
            label: None,
        };
        let said = |args, default| grants(&wish(args, default).grants);
        assert_eq!(said(args(&[]), None), "viewer in default");
        assert_eq!(said(args(&[]), Some("team-a")), "viewer in team-a");
        assert_eq!(said(args(&["a", "*"]), Some("team-a")), "viewer in a, viewer everywhere");
        assert!(wish(TokenCreateArgs { role: None, ..args(&[]) }, None).grants.is_empty());
    }
}
