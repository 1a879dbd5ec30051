//! The documents against the code: generated tables, links, paths, command lines, and names of topics and parameters.

mod commands;
mod document;
mod links;
mod ros_names;
mod tables;
