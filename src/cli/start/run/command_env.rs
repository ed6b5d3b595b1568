use crate::model::{Phase, Snapshot, Stack, connectable_host};

/// Returns variables with the addresses of the requested services.
pub(super) fn variables(stack: &Stack, snapshot: &Snapshot) -> Vec<(String, String)> {
    let mut variables = vec![("DEVSTACK_STACK".to_owned(), snapshot.stack.clone())];
    for view in snapshot.services.iter().filter(|view| view.phase != Phase::Idle) {
        let Some(service) = stack.services.get(&view.name) else { continue };
        // The port may have moved since the stack was created.
        let Some(port) = view.port else { continue };
        let host = &service.launch.host;
        // The actual address if known, or else the assigned one.
        let url = view.url.clone().unwrap_or_else(|| service.url_form.format(host, port));
        let prefix = format!("DEVSTACK_{}", view.name.to_env_prefix());
        variables.push((format!("{prefix}_HOST"), connectable_host(host).to_owned()));
        variables.push((format!("{prefix}_PORT"), port.to_string()));
        variables.push((format!("{prefix}_URL"), url));
    }
    variables
}
