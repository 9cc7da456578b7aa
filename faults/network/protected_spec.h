/* What Faultline leaves alone unless told otherwise, beside its own connections and the default
 * gateway. C and C++. */
#ifndef FAULTLINE_NETWORK_PROTECTED_SPEC_H
#define FAULTLINE_NETWORK_PROTECTED_SPEC_H

/* TCP, on either side. */
#define FL_SSH_PORT 22

/* UDP, on both sides: DHCP's 67 and 68, DHCPv6's 546 and 547. */
#define FL_IS_DHCP_PORT(port) ((port) == 67 || (port) == 68 || (port) == 546 || (port) == 547)

/* ICMPv6 types of neighbour discovery: router and neighbour solicitation and advertisement,
 * redirect (RFC 4861). */
#define FL_ND_FIRST 133
#define FL_ND_LAST 137

/* Where cloud machines ask for their metadata: 169.254.169.254 and fd00:ec2::254. */
#define FL_METADATA_IPV4 0xa9fea9fe
#define FL_METADATA_IPV6_FIRST 0xfd000ec2
#define FL_METADATA_IPV6_LAST 0x254

#endif
