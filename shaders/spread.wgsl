// x of every lane of the subgroup, in lane order: LANES is the subgroup's size, 4 or 8. Where threads are the lanes of
// a CPU's vectors, a load takes a loop over the lanes and a broadcast one instruction: so each lane loads a part and
// this hands all of it round.

#enable subgroups

fn spread4(x: vec4f) -> array<vec4f, LANES> {
#if LANES == 8
  return array(
    subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u), subgroupBroadcast(x, 2u), subgroupBroadcast(x, 3u),
    subgroupBroadcast(x, 4u), subgroupBroadcast(x, 5u), subgroupBroadcast(x, 6u), subgroupBroadcast(x, 7u),
  );
#else
  return array(subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u), subgroupBroadcast(x, 2u), subgroupBroadcast(x, 3u));
#endif
}

fn spread(x: f32) -> array<f32, LANES> {
#if LANES == 8
  return array(
    subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u), subgroupBroadcast(x, 2u), subgroupBroadcast(x, 3u),
    subgroupBroadcast(x, 4u), subgroupBroadcast(x, 5u), subgroupBroadcast(x, 6u), subgroupBroadcast(x, 7u),
  );
#else
  return array(subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u), subgroupBroadcast(x, 2u), subgroupBroadcast(x, 3u));
#endif
}
