#include "protocol/keys/private_host.hpp"

#include <catch2/catch.hpp>

namespace private_host_test {

using gristmill::is_private_host;

TEST_CASE("this machine and private networks are known by their names") {
  for (const char* url :
       {"http://127.0.0.1:8000/v1", "http://127.1.2.3",      "http://localhost",
        "http://LOCALHOST:1/v1",    "http://[::1]:8000/v1",  "http://10.0.0.1",
        "https://172.16.0.1/v1",    "http://172.31.255.255", "http://192.168.1.20:8000",
        "http://[fd12:3456::1]/v1", "http://[fc00::1]",      "http://[::ffff:10.1.2.3]",
        "http://gpu1:8000/v1",      "http://vllm/v1",        "http://box.local/v1",
        "http://gpu.lan",           "http://llm.internal",   "http://a.b.svc.cluster.local:80",
        "http://x.localhost",       "http://box.local.:8000"}) {
    CAPTURE(url);
    CHECK(is_private_host(url));
  }
  for (const char* url :
       {"https://api.openai.com/v1", "http://8.8.8.8", "http://172.15.0.1", "http://172.32.0.1",
        "http://192.169.0.1", "http://11.0.0.1", "http://[2001:db8::1]", "http://[::ffff:8.8.8.8]",
        "http://[fe80::1]", "http://10.0.0.1.example.com", "http://127.example.com/v1",
        "http://localhost.example.com", "http://mylocal.com", "http://", ""}) {
    CAPTURE(url);
    CHECK_FALSE(is_private_host(url));
  }
}

} // namespace private_host_test
