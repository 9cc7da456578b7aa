// base/random.h: numbers that the world draws, so that ids and seeds are the same in equal runs.
#include "base/random.h"

#include "sim/world.h"

namespace faultline {

uint64_t RandomNumber() { return sim::World::current()->Number(); }

}  // namespace faultline
