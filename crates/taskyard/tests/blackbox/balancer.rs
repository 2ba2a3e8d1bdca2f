//! The configurations in `deploy/`, run by the programs they are for: users who know one address only notice little
//! when servers die.

use crate::common::daemon::ServerOptions;
use crate::common::deploy::{self, example, is_there};
use crate::common::fleet::Fleet;
use crate::common::http::{Answer, Failure, Http};
use crate::common::load::{Load, Users};
use crate::common::process::Process;
use crate::common::random::Random;
use crate::common::secure::Cluster;
use crate::common::{SOON, eventually};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A file of `deploy/` with the addresses of this test.
fn adapted(text: &str, urls: &[String], port: u16) -> String {
    let mut text = text.replace("127.0.0.1:7420", &format!("127.0.0.1:{port}"));
    for (n, url) in urls.iter().enumerate() {
        let address = format!("10.0.0.{}:7420", n + 1);
        assert!(text.contains(&address), "{address} is not in the example");
        text = text.replace(&address, url.split("://").last().unwrap());
    }
    text
}

/// Servers that can die.
trait Servers {
    fn urls(&self) -> Vec<String>;
    /// A client of all of them, without the balancer.
    fn http(&self) -> Http;
    fn kill(&mut self, at: usize);
    fn restart(&mut self, at: usize);
}

impl Servers for Fleet {
    fn urls(&self) -> Vec<String> {
        self.servers.iter().map(|server| server.url.clone()).collect()
    }

    fn http(&self) -> Http {
        Fleet::http(self)
    }

    fn kill(&mut self, at: usize) {
        self.servers[at].kill9();
    }

    fn restart(&mut self, at: usize) {
        self.servers[at].restart();
    }
}

/// With TLS, and an administrator's token.
impl Servers for (Cluster, String) {
    fn urls(&self) -> Vec<String> {
        self.0.urls.clone()
    }

    fn http(&self) -> Http {
        // Clients of the tests take certificates for addresses.
        self.0.http(&self.0.urls.join(",").replace("localhost", "127.0.0.1"), &self.1)
    }

    fn kill(&mut self, at: usize) {
        self.0.servers[at].kill9();
    }

    fn restart(&mut self, at: usize) {
        self.0.restart_server(at);
        self.0.until_votes(self.0.servers.len());
    }
}

fn leader(servers: &impl Servers) -> usize {
    let mut http = servers.http();
    eventually("a server leads", SOON, || {
        let answer = http.request("GET", "/v1/cluster", None).ok().filter(Answer::is_success)?;
        let status = answer.json();
        let leader = status["servers"].as_array()?.iter().find(|server| server["id"] == status["leader"])?;
        servers.urls().iter().position(|url| leader["url"] == url.as_str())
    })
}

/// Users who know the balancer alone go on while servers die. It listens already.
fn serves_through_deaths(name: &str, servers: &mut impl Servers, dir: &Path, through: &Http) {
    let mut random = Random::seeded(name);
    let ready = |path: &str| {
        matches!(through.clone().request("GET", path, None), Ok(answer) if answer.is_success()).then_some(())
    };
    eventually("the balancer serves", SOON, || ready("/readyz"));
    let load = Load::of(through, dir, Users { count: 2, each: 100_000, pause: Duration::ZERO }, &mut random);
    let mut longest = Duration::ZERO;
    for round in 0..3 {
        let goal = load.count() + 100;
        eventually("users get on", SOON, || (load.count() >= goal).then_some(()));
        let leader = leader(servers);
        let victim = if round == 1 { (leader + 1) % 3 } else { leader };
        servers.kill(victim);
        let died = std::time::Instant::now();
        eventually("the balancer serves again", SOON, || ready("/v1/queues"));
        longest = longest.max(died.elapsed());
        let goal = load.count() + 50;
        eventually("users get on with two servers", SOON, || (load.count() >= goal).then_some(()));
        servers.restart(victim);
    }
    let book = load.finish();
    let examined = book.check_all(&mut servers.http(), Duration::from_secs(120));
    println!("{name}: {examined:?}, {} answers were lost, at most {longest:?} until an answer", book.unknown);
}

/// nginx with this site.
fn nginx(dir: &Path, text: &str) -> Process {
    let (site, file) = (dir.join("taskyard.conf"), dir.join("nginx.conf"));
    std::fs::write(&site, text).unwrap();
    let main = format!(
        "daemon off; master_process off; pid {0}/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n  \
         include {1};\n}}\n",
        dir.display(),
        site.display()
    );
    std::fs::write(&file, main).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-c").arg(file).arg("-p").arg(dir);
    Process::spawn("nginx", command, &dir.join("nginx.log"))
}

#[test]
fn haproxy_sends_users_to_servers_that_are_well() {
    if !is_there("haproxy", "-v") {
        return;
    }
    let mut fleet = Fleet::start(3, 1, &ServerOptions::small());
    let (port, dir) = (free_port(), fleet.dir.path().to_owned());
    let _balancer = deploy::haproxy(
        "haproxy",
        Command::new("haproxy"),
        &dir,
        &adapted(&example("haproxy/haproxy.cfg"), &Servers::urls(&fleet), port),
    );
    let through = Http::new(&format!("http://127.0.0.1:{port}"));
    serves_through_deaths("haproxy", &mut fleet, &dir, &through);
}

#[test]
fn nginx_sends_users_to_servers_that_are_well() {
    if !is_there("nginx", "-v") {
        return;
    }
    let mut fleet = Fleet::start(3, 1, &ServerOptions::small());
    let (port, dir) = (free_port(), fleet.dir.path().to_owned());
    let _balancer = nginx(&dir, &adapted(&example("nginx/taskyard.conf"), &Servers::urls(&fleet), port));
    let through = Http::new(&format!("http://127.0.0.1:{port}"));
    serves_through_deaths("nginx", &mut fleet, &dir, &through);
}

#[test]
fn haproxy_passes_tls_on_for_people_and_agents() {
    if !is_there("haproxy", "-v") {
        return;
    }
    let mut servers = Cluster::of(3);
    let (port, dir) = (free_port(), servers.0.dir.path().to_owned());
    let text = adapted(&example("haproxy/taskyard-tls.cfg"), &servers.urls(), port);
    let authority = servers.0.path("s1/tls/ca.crt").display().to_string();
    let _balancer = deploy::haproxy(
        "haproxy",
        Command::new("haproxy"),
        &dir,
        &text.replace("/etc/haproxy/taskyard-ca.crt", &authority),
    );
    let through = servers.0.http(&format!("https://127.0.0.1:{port}"), &servers.1);
    // An agent that knows nobody else joins through it, and has its session.
    let token = servers.0.token("agent");
    servers.0.add_agent_by(&format!("https://localhost:{port}"), ("n1", "n1"), &token);
    servers.0.until_up("n1");
    serves_through_deaths("haproxy-tls", &mut servers, &dir, &through);
}

#[test]
fn nginx_speaks_tls_to_people_and_to_servers() {
    if !is_there("nginx", "-v") || !is_there("openssl", "version") {
        return;
    }
    let mut servers = Cluster::of(3);
    let (port, dir) = (free_port(), servers.0.dir.path().to_owned());
    let token = servers.0.token("agent");
    servers.0.add_agent("n1", &token);
    servers.0.until_up("n1");
    let (certificate, key) = public_certificate(&dir);
    let text = adapted(&example("nginx/taskyard-tls.conf"), &servers.urls(), port)
        .replace("/etc/nginx/taskyard-ca.crt", &servers.0.path("s1/tls/ca.crt").display().to_string())
        .replace("/etc/nginx/queue.example.crt", &certificate.display().to_string())
        .replace("/etc/nginx/queue.example.key", &key.display().to_string());
    let _balancer = nginx(&dir, &text);
    let pem = std::fs::read_to_string(certificate).unwrap();
    let mut through = servers.0.http(&format!("https://127.0.0.1:{port}"), &servers.1);
    // Who trusts the cluster's authority alone does not trust the balancer.
    eventually("it listens", SOON, || TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(matches!(through.request("GET", "/readyz", None), Err(Failure::Refused(_))));
    through.seat.tls = Some(Arc::new(taskyard_tls::web_roots(Some(&pem)).unwrap()));
    serves_through_deaths("nginx-tls", &mut servers, &dir, &through);
}

/// A certificate of another authority, which is itself, and its key.
fn public_certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let [config, certificate, key] = ["openssl.cnf", "public.crt", "public.key"].map(|name| dir.join(name));
    let text = "[req]\ndistinguished_name = name\nx509_extensions = all\nprompt = no\n[name]\nCN = balancer\n\
                [all]\nbasicConstraints = critical,CA:FALSE\nsubjectAltName = IP:127.0.0.1\n";
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]);
    command.arg("-config").arg(&config).arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

/// What the other examples say is understood by the programs they are for.
#[test]
fn units_and_the_floating_address_are_well_formed() {
    if !is_there("systemd-analyze", "--version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for unit in ["taskyard-server.service", "taskyard-agent.service"] {
        // The program need not be installed where this runs.
        let text = example(&format!("systemd/{unit}")).replace("/usr/bin/taskyard", "/bin/true");
        let file = dir.path().join(unit);
        std::fs::write(&file, text).unwrap();
        let checked = Command::new("systemd-analyze").arg("verify").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success() && !said.contains(unit), "{unit}: {said}");
    }
    if is_there("keepalived", "--version") {
        let interfaces = std::fs::read_dir("/sys/class/net").unwrap().flatten();
        let mut names = interfaces.map(|e| e.file_name().to_string_lossy().into_owned());
        let Some(interface) = names.find(|name| name != "lo") else { return };
        let file = dir.path().join("keepalived.conf");
        std::fs::write(&file, example("keepalived/keepalived.conf").replace("eth0", &interface)).unwrap();
        // It ends its own process group when it has looked, so that its exit code says nothing.
        let mut command = Command::new("keepalived");
        let checked = command.arg("-t").arg("-f").arg(&file).process_group(0).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(!said.contains("keepalived.conf"), "{said}");
    }
}
