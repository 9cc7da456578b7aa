// The one list of drivers, in the registry's order.
#include "faults/driver.h"
#include "faults/network/driver.h"

namespace faultline::faults {

StatusOr<std::vector<NamedDriver>> MakeDrivers(const DriverContext& context) {
  std::vector<NamedDriver> drivers;
  FL_ASSIGN_OR_RETURN(auto network, network::MakeNetworkDriver(context));
  drivers.push_back({"network", std::move(network)});
  return drivers;
}

}  // namespace faultline::faults
