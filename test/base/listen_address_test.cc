#include "base/listen_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse {
namespace {

TEST(ListenAddressTest, ReadsAddressesAndShowsThemTheSame) {
  for (const char* text : {"127.0.0.1:9899", "0.0.0.0:1", "[::1]:65535", "[::]:0", ":9899", ":0"}) {
    Result<ListenAddress> address = ListenAddress::Parse(text);
    ASSERT_TRUE(address) << address.error().message;
    EXPECT_EQ(address->ToString(), text);
  }
  EXPECT_EQ(*ListenAddress::Parse("[fe80::1]:80"), (ListenAddress{.host = "fe80::1", .port = 80}));
  EXPECT_EQ(*ListenAddress::Parse(":80"), (ListenAddress{.host = "", .port = 80}));
}

TEST(ListenAddressTest, RefusesWhatIsNoAddress) {
  for (const char* text :
       {"", ":", "9899", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
        "127.0.0.1: 1", "127.0.0.1:0x1", "::1:9899", "[::1]", "[]:1", "[127.0.0.1]:1",
        "localhost:9899", "256.0.0.1:1", "127.0.0.1:1x", "http://127.0.0.1:1"}) {
    Result<ListenAddress> address = ListenAddress::Parse(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, Code::kInvalidArgument);
    EXPECT_THAT(address.error().message, ::testing::HasSubstr("give one such as")) << text;
  }
}

}  // namespace
}  // namespace weighhouse
