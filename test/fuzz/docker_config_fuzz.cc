// A secret's .dockerconfigjson: the registry and the repository that it is for in the first two
// lines.

#include "base/text.h"
#include "cache-daemon/source/oci/login.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source::oci {

WEIGHHOUSE_FUZZ_TARGET(docker_config, bytes) {
  std::string_view rest = bytes;
  ImageName image{.registry = std::string(fuzz::TakeUntil(rest, '\n')), .repository = ""};
  image.repository = fuzz::TakeUntil(rest, '\n');
  Result<Login> login = LoginFor(image, {.values = {{".dockerconfigjson", std::string(rest)}}});
  if (!login) {
    const Error& error = login.error();
    CHECK(error.code == Code::kUnauthenticated && error.rights_may_help);
    CHECK(error.message.size() < 2000 && Printable(error.message, 2000) == error.message);
    return;
  }
  // A login comes from nowhere else than the text, of which base64 takes most.
  CHECK(login->user.size() + login->password.size() + login->identity_token.size() +
            login->registry_token.size() <=
        rest.size());
  CHECK(IsHex(login->Fingerprint(), 64));
  // An entry is for its own registry only: one of a name that no entry can have gets nothing.
  image.registry = "nobody's registry";
  Result<Login> other = LoginFor(image, {.values = {{".dockerconfigjson", std::string(rest)}}});
  if (!rest.contains("nobody") && !rest.contains('*')) CHECK(!other || other->empty());
}

}  // namespace weighhouse::source::oci
