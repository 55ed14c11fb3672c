#include "coordinator/http/bearer_token.hpp"

#include <algorithm>
#include <array>
#include <sodium.h>

namespace gristmill::coordinator {
namespace {

// Compared as hashes, so that neither length nor content shows in the time.
bool same_secret(std::string_view a, std::string_view b) {
  const auto hash = [](std::string_view text) {
    std::array<unsigned char, crypto_generichash_BYTES> bytes{};
    crypto_generichash(bytes.data(), bytes.size(),
                       reinterpret_cast<const unsigned char*>(text.data()), text.size(), nullptr,
                       0);
    return bytes;
  };
  const auto hash_a = hash(a), hash_b = hash(b);
  return sodium_memcmp(hash_a.data(), hash_b.data(), hash_a.size()) == 0;
}

} // namespace

bool BearerToken::is_shown_by(const HttpHeaders& headers) const {
  if (!is_needed()) return true;
  constexpr std::string_view scheme = "bearer "; // in any case, RFC 9110 11.1
  const std::string header = headers.get("Authorization");
  const std::string_view given = header;
  const bool is_bearer =
      given.size() >= scheme.size() &&
      std::equal(scheme.begin(), scheme.end(), given.begin(),
                 [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
  return is_bearer && same_secret(given.substr(scheme.size()), token_);
}

HttpResponse no_token() {
  HttpResponse refusal = http_error(401, "unauthorized",
                                    "expected the header Authorization: Bearer TOKEN with the "
                                    "token of this coordinator (client.token of its keys)");
  refusal.headers.emplace_back("WWW-Authenticate", "Bearer");
  return refusal;
}

} // namespace gristmill::coordinator
