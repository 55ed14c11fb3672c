// BEARER TOKEN: the secret that a client must show (RFC 6750). Plain. Invariant: the time of a
// comparison reveals neither the token's length nor how much of a guess was right.
#pragma once

#include "coordinator/http/server/task.hpp"

#include <string>

namespace gristmill::coordinator {

class BearerToken {
public:
  explicit BearerToken(std::string token) : token_{std::move(token)} {} // empty: none is needed

  bool is_needed() const { return !token_.empty(); }
  bool is_shown_by(const HttpHeaders& headers) const; // or not needed

private:
  std::string token_;
};

// 401: the token was not shown.
HttpResponse no_token();

} // namespace gristmill::coordinator
