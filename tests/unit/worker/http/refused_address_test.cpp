// Addresses at which clouds keep a machine's credentials.
#include "tests/unit/worker/http/curl_client_harness.hpp"
#include "worker/http/refused_address.hpp"

namespace refused_address_test {

using namespace gristmill;
using namespace gristmill::test;
using namespace gristmill::worker;
using Catch::Contains;

namespace {

std::string refused(const char* text) {
  sockaddr_storage address{};
  auto& four = reinterpret_cast<sockaddr_in&>(address);
  auto& six = reinterpret_cast<sockaddr_in6&>(address);
  if (::inet_pton(AF_INET, text, &four.sin_addr) == 1) {
    address.ss_family = AF_INET;
  } else {
    REQUIRE(::inet_pton(AF_INET6, text, &six.sin6_addr) == 1);
    address.ss_family = AF_INET6;
  }
  return refused_address(reinterpret_cast<const sockaddr&>(address));
}

} // namespace

TEST_CASE("link-local addresses are refused in each of their forms, their neighbours are not") {
  for (const char* address :
       {"169.254.0.0", "169.254.169.254", "169.254.255.255", "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254", "fe80::", "fe80::1", "febf::1", "fd00:ec2::254"})
    CHECK(!refused(address).empty());
  for (const char* address :
       {"127.0.0.1", "169.253.255.255", "169.255.0.0", "10.0.0.1", "192.168.1.1", "::1",
        "::ffff:127.0.0.1", "::ffff:169.253.1.1", "64:ff9b::8.8.8.8", "fe7f::1", "fec0::1",
        "fd00:ec2::253", "2001:db8::1"})
    CHECK(refused(address).empty());
}

TEST_CASE("loopback and private addresses are of our network, their neighbours are not") {
  for (const char* address : {"127.0.0.1", "127.255.255.255", "10.0.0.0", "10.255.255.255",
                              "172.16.0.1", "172.31.255.255", "192.168.0.0", "100.64.0.1", "::1",
                              "fc00::1", "fdff::1", "::ffff:10.1.2.3"})
    CHECK(is_of_our_network(address));
  for (const char* address :
       {"126.255.255.255", "128.0.0.0", "11.0.0.0", "9.255.255.255", "172.15.255.255", "172.32.0.0",
        "192.167.255.255", "192.169.0.0", "100.128.0.0", "8.8.8.8", "::", "::2", "fbff::1",
        "fe00::1", "2001:db8::1", "::ffff:8.8.8.8", "", "host"})
    CHECK_FALSE(is_of_our_network(address));
}

TEST_CASE("a call to a link-local address opens no socket and says why") {
  const auto host = GENERATE(as<std::string>{}, "169.254.169.254", "[::ffff:169.254.169.254]",
                             "2852039166", "[fd00:ec2::254]");
  Calls calls;
  const CallEnded ended = calls.run(calls.call("http://" + host + "/latest/meta-data"));
  CHECK(ended.end == CallEnd::failed);
  CHECK(ended.code == "address_refused");
  CHECK_THAT(ended.message, Contains("link-local") && Contains("endpoint's URL"));
}

} // namespace refused_address_test
