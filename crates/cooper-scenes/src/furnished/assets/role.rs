//! Where a thing belongs in a room.

/// The place of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Armchair,
    Appliance,
    BathFixture,
    Bed,
    CeilingLamp,
    Chair,
    CoffeeTable,
    Desk,
    DiningTable,
    Door,
    /// Stands on the floor: boxes, bags, plants.
    FloorThing,
    FloorLamp,
    KitchenUnit,
    /// Hangs over kitchen units.
    KitchenUpper,
    LowCabinet,
    NightStand,
    /// Stands on tables, cabinets, shelves.
    OnTable,
    /// Hangs on a wall at its elevation.
    OnWall,
    Person,
    Radiator,
    Rug,
    /// Television or monitor.
    Screen,
    Sofa,
    Stool,
    TableLamp,
    TallCabinet,
    /// A small thing on a table.
    Trinket,
    Window,
    /// Has a height that decides; never the role of a model.
    AnyLamp,
    AnyPlant,
    AnyTable,
    /// Does not fit into rooms like these.
    Unused,
}
