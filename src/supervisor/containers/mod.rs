//! Services that run in containers: what happens before their start and after their end, and what
//! probes see of them. The program of the engine is the main process of such a run.

mod adopted_container;
mod container_host;
mod container_run;
mod container_sight;
mod engine_record;
mod image_preparation;
mod last_act;
mod leftovers;
mod memory_end;
mod used_engine;

pub use adopted_container::ContainerAdoption;
pub use container_host::ContainerHost;
pub use container_run::{ContainerRun, ContainerStart};
pub use engine_record::EngineRecord;
pub use last_act::clean_up_after;
pub use leftovers::{find_left, list_volumes, remove_left};
