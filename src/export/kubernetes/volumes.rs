use crate::export::ExportNotes;
use crate::export::yaml::YamlTable;
use crate::model::{Name, PortableService, VolumeMount, VolumeSource};

/// Returns the names of the claims for the volumes that a service keeps, in their order.
pub(super) fn claims(service: &PortableService) -> Vec<String> {
    mounts(service).filter_map(|volume| claim(service, volume)).collect()
}

/// Returns the volumes of a pod, and where its container has them. A path of this machine is not in
/// the cluster.
pub(super) fn volumes(
    service: &PortableService,
    notes: &mut ExportNotes,
) -> (Vec<YamlTable>, Vec<YamlTable>) {
    let (mut volumes, mut mounted) = (Vec::new(), Vec::new());
    for (number, volume) in mounts(service).enumerate() {
        let (name, kind, source) = match (&volume.source, claim(service, volume)) {
            (VolumeSource::Bind(path), _) => {
                let shown = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
                let target = &volume.target;
                notes.lose(format!("{shown} at {target}: put it into the image"), service);
                continue;
            }
            (_, Some(claim)) => {
                let source = YamlTable::default().with("claimName", claim.as_str());
                (claim, "persistentVolumeClaim", source)
            }
            (_, None) => (format!("volume-{number}"), "emptyDir", YamlTable::default()),
        };
        let named = || YamlTable::default().with("name", name.as_str());
        volumes.push(named().with(kind, source));
        mounted.push(
            named()
                .with("mountPath", volume.target.as_str())
                .with_some("readOnly", volume.read_only.then_some(true)),
        );
    }
    (volumes, mounted)
}

fn mounts(service: &PortableService) -> impl Iterator<Item = &VolumeMount> {
    service.container.iter().flat_map(|container| &container.volumes)
}

/// Returns the name of the claim for a volume that is kept.
fn claim(service: &PortableService, volume: &VolumeMount) -> Option<String> {
    let VolumeSource::Named(name) = &volume.source else { return None };
    let near = Name::nearest(name).map(|name| name.to_string());
    Some(near.unwrap_or_else(|| format!("{}-data", service.host_name)))
}
