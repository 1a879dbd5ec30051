//! The source of furnished scenes: what is loaded once, and how one scene is made of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cooper_imaging::Result;
use glam::{Affine3A, Vec2, Vec3};

use super::assets::library::Furniture;
use super::assets::world::{self, World};
use super::config::FurnishedConfig;
use super::dice::Dice;
use super::inside;
use super::layout::item::Item;
use super::layout::{self, Plan};
use super::light::Light;
use super::palette::{UNLABELLED, ids};
use super::render::{NOTHING, Seen, render};
use super::room::{Coverings, shell};
use super::scene::FurnishedScene;
use super::stage::{Instance, Stage};
use super::truth;
use super::viewpoint::{self, Space};
use crate::camera::Camera;
use crate::cast::FIRST_OBJECT;
use crate::split::Split;

/// Furnished rooms, by split and number.
///
/// Models are loaded when they are first used and then kept; any number of threads may make scenes at once.
pub struct FurnishedRooms {
    config: FurnishedConfig,
    furniture: Furniture,
    worlds: Vec<World>,
}

/// A model of the furniture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Unique among all catalogues.
    pub id: String,
    /// What it is called in questions and answers.
    pub name: &'static str,
    /// Its class of the palette, or [`UNLABELLED`](super::UNLABELLED).
    pub class: u8,
    /// The only set in which it is seen.
    pub split: Split,
}

impl FurnishedRooms {
    /// Find the furniture and read the worlds that `config` names.
    ///
    /// # Errors
    /// About a field that is wrong, about furniture that is not there and how to get it, about a world's files.
    pub fn open(config: FurnishedConfig) -> Result<Self> {
        config.check()?;
        Ok(Self {
            furniture: Furniture::open(config.furniture.as_deref())?,
            worlds: match &config.worlds {
                Some(folder) => world::read_all(folder)?,
                None => Vec::new(),
            },
            config,
        })
    }

    /// Every model that has a place in a room.
    pub fn models(&self) -> Vec<ModelInfo> {
        let info = |model: &super::assets::library::Model| ModelInfo {
            id: model.id.clone(),
            name: model.word,
            class: model.class,
            split: model.split,
        };
        self.furniture.all().map(info).collect()
    }

    /// Load every model now. Of those that cannot be used: the id, and why.
    pub fn load_all(&self) -> BTreeMap<String, String> {
        let faults = self.furniture.all().filter_map(|model| {
            let why = model.mesh().err()?;
            Some((model.id.clone(), why.to_owned()))
        });
        faults.collect()
    }

    /// What the scenes are drawn from.
    pub fn config(&self) -> &FurnishedConfig {
        &self.config
    }

    /// Scene number `index` of a set; the same bytes every time.
    pub fn scene(&self, split: Split, index: u64) -> FurnishedScene {
        let mut dice = Dice::new(split, index);
        let in_world = f64::from(dice.unit()) < self.config.world_share;
        let world = dice.unit() * self.worlds.len() as f32;
        let world = self.worlds.get(world as usize);
        match world.filter(|_| in_world && split == Split::Train) {
            Some(world) => self.in_world(world, index, dice),
            None => self.in_room(split, index, dice),
        }
    }

    fn in_room(&self, split: Split, index: u64, dice: Dice) -> FurnishedScene {
        let (plan, coverings) = layout::furnish(&self.config, &self.furniture, split, dice);
        let stage = Stage::new(instances(&plan.items, structure(&plan, &coverings)));
        let Plan {
            items,
            lights,
            room,
            mut dice,
            ..
        } = plan;
        let half = room.width / 2.0;
        let space = Space {
            stage: &stage,
            taken: items.iter().map(|item| item.volume).collect(),
            tops: tops(&items),
            targets: items
                .iter()
                .map(|item| item.volume.center.extend(item.volume.high * 0.7))
                .collect(),
            low: Vec2::new(-half, 0.0),
            high: Vec2::new(half, room.depth),
        };
        let camera = viewpoint::choose(&self.config, &space, &mut dice);
        let room_m = Some([room.width, room.depth, room.height].map(f64::from));
        let parts = Parts {
            items,
            stage: &stage,
            lights,
            camera,
        };
        FurnishedScene {
            split,
            index,
            room_m,
            ..self.finish(parts, dice)
        }
    }

    fn in_world(&self, world: &World, index: u64, mut dice: Dice) -> FurnishedScene {
        let all = inside::items(world, &mut dice);
        let [low, high] = inside::extent(&all);
        let taken = inside::obstacles(&all);
        let (floor, rest): (Vec<Item>, Vec<Item>) =
            all.into_iter().partition(|item| item.class <= ids::CEILING);
        let structure = floor
            .iter()
            .map(|item| item_instance(item, u16::from(item.class)));
        let stage = Stage::new(instances(&rest, structure.collect()));
        let space = Space {
            stage: &stage,
            taken,
            tops: tops(&rest),
            targets: rest
                .iter()
                .map(|item| item.volume.center.extend(item.volume.high.min(1.5)))
                .collect(),
            low,
            high,
        };
        let camera = viewpoint::choose(&self.config, &space, &mut dice);
        let eye = camera.position();
        let eye = Vec3::new(eye.x as f32, eye.y as f32, eye.z as f32);
        let lights = inside::lights(&stage, eye, &mut dice);
        let parts = Parts {
            items: rest,
            stage: &stage,
            lights,
            camera,
        };
        FurnishedScene {
            index,
            world: Some(world.name.clone()),
            ..self.finish(parts, dice)
        }
    }

    /// Draw the image and gather what is known.
    fn finish(&self, parts: Parts, mut dice: Dice) -> FurnishedScene {
        let Parts {
            items,
            stage,
            lights,
            camera,
        } = parts;
        let (image, seen) = render(&self.config, stage, &lights, &camera, &mut dice);
        let (objects, ids) =
            truth::objects(&items, stage, &camera, &seen, self.config.visible_from());
        FurnishedScene {
            split: Split::Train,
            index: 0,
            image,
            ids,
            labels: labels(&seen, &items),
            depth: seen.depth,
            camera,
            room_m: None,
            world: None,
            objects,
        }
    }
}

/// What a scene is made of.
struct Parts<'a> {
    items: Vec<Item>,
    stage: &'a Stage,
    lights: Vec<Light>,
    camera: Camera,
}

/// The class of each pixel.
fn labels(seen: &Seen, items: &[Item]) -> Vec<u8> {
    let label = |&id: &u16| match id {
        NOTHING => UNLABELLED,
        0..3 => id as u8,
        _ => items
            .get(usize::from(id) - usize::from(FIRST_OBJECT))
            .map_or(UNLABELLED, |i| i.class),
    };
    seen.ids.iter().map(label).collect()
}

/// Floor, walls and ceiling.
fn structure(plan: &Plan, coverings: &Coverings) -> Vec<Instance> {
    let meshes = shell(&plan.room, coverings).into_iter().enumerate();
    let instance = |(id, mesh): (usize, Option<Arc<super::mesh::Mesh>>)| {
        Some(Instance {
            mesh: mesh?,
            world_from_model: Affine3A::IDENTITY,
            tint: Vec3::ONE,
            glow: 0.0,
            id: id as u16,
        })
    };
    meshes.filter_map(instance).collect()
}

fn instances(items: &[Item], mut structure: Vec<Instance>) -> Vec<Instance> {
    let things = items.iter().enumerate();
    structure
        .extend(things.map(|(i, item)| item_instance(item, i as u16 + u16::from(FIRST_OBJECT))));
    structure
}

fn item_instance(item: &Item, id: u16) -> Instance {
    Instance {
        mesh: item.mesh.clone(),
        world_from_model: item.world_from_model,
        tint: item.tint,
        glow: item.glow,
        id,
    }
}

/// Tops at the height of tables.
fn tops(items: &[Item]) -> Vec<layout::Volume> {
    let flat = items
        .iter()
        .filter(|item| matches!(item.class, ids::TABLE | ids::CABINET));
    let volumes = flat.map(|item| item.volume);
    volumes
        .filter(|volume| (0.35..1.2).contains(&volume.high))
        .collect()
}
