//! Keys of Compose that have no counterpart, and what to say about each.

use crate::import::yaml::Unsupported;

const ONE_NETWORK: &str = "not carried over: services reach each other on this machine";
const NOT_BUILT: &str = "not carried over: no image is built";
const NO_LIMITS: &str = "not carried over: devstack limits no resources";
const NO_CONTAINER: &str = "not carried over: devstack has no key for it";
const SAME_USER: &str = "not carried over: services run as your user";
const SECRETS: &str =
    "not carried over: use a file that git ignores and `env_file`, or the path itself";
const OWN_VOLUMES: &str =
    "not carried over: devstack creates the volumes that services name, without options";
const OWN_LOGS: &str = "not carried over: `devstack logs` shows what services printed";
const TERMINAL: &str = "not carried over: a service has a terminal if devstack has one, see `tty`";
const HOOKS: &str = "not carried over: make it part of the command, or a task";

/// What is not read, by its path.
pub(super) const UNSUPPORTED: Unsupported = &[
    ("x-*", "not carried over: an extension that nothing refers to"),
    ("include", "not carried over: run `devstack init --from` with each of these files too"),
    ("networks", ONE_NETWORK),
    ("volumes.*", OWN_VOLUMES),
    ("secrets", SECRETS),
    ("configs", SECRETS),
    ("models", "not carried over: devstack runs no models"),
    ("services.*.x-*", "not carried over: an extension, which Compose ignores too"),
    ("services.*.annotations", NO_CONTAINER),
    ("services.*.attach", OWN_LOGS),
    ("services.*.blkio_config", NO_LIMITS),
    ("services.*.build.*", NOT_BUILT),
    ("services.*.cap_add", NO_CONTAINER),
    ("services.*.cap_drop", NO_CONTAINER),
    ("services.*.cgroup", NO_CONTAINER),
    ("services.*.cgroup_parent", NO_CONTAINER),
    ("services.*.configs", SECRETS),
    ("services.*.container_name", "not carried over: a service has one name"),
    ("services.*.cpu_count", NO_LIMITS),
    ("services.*.cpu_percent", NO_LIMITS),
    ("services.*.cpu_period", NO_LIMITS),
    ("services.*.cpu_quota", NO_LIMITS),
    ("services.*.cpu_shares", NO_LIMITS),
    ("services.*.cpus", NO_LIMITS),
    ("services.*.cpuset", NO_LIMITS),
    ("services.*.credential_spec", NO_CONTAINER),
    ("services.*.deploy.resources", NO_LIMITS),
    ("services.*.deploy.restart_policy", "not carried over: set `restart`"),
    ("services.*.deploy.*", "not carried over: it is for a cluster"),
    ("services.*.develop", "not carried over: set `watch` for what restarts the service"),
    ("services.*.device_cgroup_rules", NO_CONTAINER),
    ("services.*.devices", NO_CONTAINER),
    ("services.*.dns", ONE_NETWORK),
    ("services.*.dns_opt", ONE_NETWORK),
    ("services.*.dns_search", ONE_NETWORK),
    ("services.*.domainname", ONE_NETWORK),
    ("services.*.external_links", ONE_NETWORK),
    ("services.*.extra_hosts", "not carried over: use addresses of this machine, or /etc/hosts"),
    ("services.*.gpus", NO_CONTAINER),
    ("services.*.group_add", SAME_USER),
    ("services.*.hostname", ONE_NETWORK),
    ("services.*.init", "not carried over: devstack reaps processes itself"),
    ("services.*.ipc", NO_CONTAINER),
    ("services.*.isolation", NO_CONTAINER),
    ("services.*.label_file", NO_CONTAINER),
    ("services.*.labels", NO_CONTAINER),
    ("services.*.links", "not carried over: use references such as `${db.url}`, and `depends_on`"),
    ("services.*.logging", OWN_LOGS),
    ("services.*.mac_address", ONE_NETWORK),
    ("services.*.mem_limit", NO_LIMITS),
    ("services.*.mem_reservation", NO_LIMITS),
    ("services.*.mem_swappiness", NO_LIMITS),
    ("services.*.memswap_limit", NO_LIMITS),
    ("services.*.network_mode", ONE_NETWORK),
    ("services.*.networks", ONE_NETWORK),
    ("services.*.oom_kill_disable", NO_LIMITS),
    ("services.*.oom_score_adj", NO_LIMITS),
    ("services.*.pid", NO_CONTAINER),
    ("services.*.pids_limit", NO_LIMITS),
    ("services.*.platform", NO_CONTAINER),
    ("services.*.ports.*.app_protocol", "not carried over: it has no effect here"),
    ("services.*.ports.*.mode", "not carried over: it is for a cluster"),
    ("services.*.post_start", HOOKS),
    ("services.*.pre_stop", HOOKS),
    ("services.*.privileged", NO_CONTAINER),
    ("services.*.provider", "not carried over: devstack starts programs and containers"),
    ("services.*.pull_policy", NO_CONTAINER),
    ("services.*.read_only", NO_CONTAINER),
    ("services.*.runtime", NO_CONTAINER),
    ("services.*.secrets", SECRETS),
    ("services.*.security_opt", NO_CONTAINER),
    ("services.*.shm_size", NO_LIMITS),
    ("services.*.stdin_open", TERMINAL),
    ("services.*.storage_opt", NO_CONTAINER),
    ("services.*.sysctls", NO_CONTAINER),
    ("services.*.tmpfs", NO_CONTAINER),
    ("services.*.tty", TERMINAL),
    ("services.*.ulimits", NO_LIMITS),
    ("services.*.use_api_socket", NO_CONTAINER),
    ("services.*.user", SAME_USER),
    ("services.*.userns_mode", NO_CONTAINER),
    ("services.*.uts", NO_CONTAINER),
    ("services.*.volumes_from", "not carried over: services share the files of this machine"),
    (
        "services.*.healthcheck.timeout",
        "not carried over: a single check has no time limit of its own",
    ),
    (
        "services.*.healthcheck.start_interval",
        "not carried over: readiness is checked all the time",
    ),
    (
        "services.*.depends_on.*.restart",
        "not carried over: a service does not restart with what it depends on",
    ),
    ("services.*.depends_on.*.required", "not carried over: a dependency is always required"),
    ("services.*.env_file.*.format", "not carried over: env files are read as Compose reads them"),
];
