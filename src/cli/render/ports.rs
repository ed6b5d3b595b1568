use super::table::Table;
use crate::ports::PortHolder;
use crate::ports::report::PortRow;
use crate::text::join;

/// Formats the ports of a stack as a table, followed by what has the wanted ones.
pub(crate) fn ports_table(rows: &[PortRow]) -> String {
    if rows.is_empty() {
        return "no service in this stack has a port\n".to_owned();
    }
    let mut table = Table::new(2).right(&[2, 3]);
    table.header(["SERVICE", "NAME", "WANTED", "PORT", "LISTENER"], false);
    for row in rows {
        let wanted = row.wanted.map_or("any".to_owned(), |wanted| wanted.to_string());
        let holder = match &row.holder {
            None if row.elsewhere.is_empty() => "none".to_owned(),
            None => format!("none; {} is listening on {}", row.service, join(&row.elsewhere, ", ")),
            // The line already starts with the name of the service.
            Some(holder) if row.own => PortHolder { context: None, ..holder.clone() }.to_string(),
            Some(holder) => holder.to_string(),
        };
        table.row([
            row.service.to_string().into(),
            row.port.as_str().into(),
            wanted.into(),
            row.actual.into(),
            holder.into(),
        ]);
    }
    let notes = rows.iter().filter_map(preferred_port_note);
    table.render() + &notes.collect::<String>()
}

fn preferred_port_note(row: &PortRow) -> Option<String> {
    let wanted = row.wanted.filter(|wanted| *wanted != row.actual)?;
    let service = &row.service;
    Some(match &row.wanted_holder {
        Some(holder) => format!("port {wanted}, wanted by {service}, is in use by {holder}\n"),
        None => format!("port {wanted}, wanted by {service}, has no listener\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;
    use crate::ports::report::json;

    fn row(service: &str, wanted: Option<u16>, actual: u16, pid: Option<u32>) -> PortRow {
        PortRow {
            service: Name::new(service).unwrap(),
            port: "main".to_owned(),
            wanted,
            actual,
            listening: pid.is_some(),
            holder: pid.map(PortHolder::sample),
            own: pid.is_some(),
            elsewhere: if pid.is_none() { vec![8080, 8081] } else { Vec::new() },
            wanted_holder: wanted.map(|_| PortHolder::sample(4000)),
        }
    }

    #[test]
    fn a_stack_is_a_table_and_json() {
        let rows =
            [row("api", Some(5000), 5001, Some(4121)), row("background", None, 20_123, None)];
        let expected = "\
SERVICE     NAME  WANTED   PORT  LISTENER
api         main    5000   5001  python3 (pid 4121: flask run, in /srv/app, for 2h)
background  main     any  20123  none; background is listening on 8080, 8081
port 5000, wanted by api, is in use by python3 (pid 4000: flask run, in /srv/app, for 2h)
";
        assert_eq!(ports_table(&rows), expected);
        assert_eq!(ports_table(&[]), "no service in this stack has a port\n");
        let value = json(&rows);
        assert_eq!(value["ports"][0]["holder"]["pid"], 4121);
        assert_eq!(serde_json::from_value::<Vec<PortRow>>(value["ports"].clone()).unwrap(), rows);
    }
}
