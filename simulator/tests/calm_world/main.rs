//! Clusters in a world in which nothing goes wrong by itself: what one write goes through, what disks that are away
//! or gone leave of a vDisk, and whether folders of every version of the formats open.

mod away_disks;
mod bed;
mod follow_one_write;
mod gone_disks;
mod silent_disks;
mod versions;
mod world;
