#!/usr/bin/env bash
# Puts together build/Faultline.app from what `swift build -c release` makes: a bundle is what the
# system wants for notifications and languages. To be run on a Mac, after README.md's steps.
# usage: clients/macos/make-app.sh [SIGNING-IDENTITY]   ("-", ad hoc, when none is given)
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
[ "$(uname)" = Darwin ] || { echo "error: an application can only be made on a Mac" >&2; exit 2; }
app=$root/build/Faultline.app
swift build -c release --product Faultline
built=$(swift build -c release --show-bin-path)
rm -rf "$app"
mkdir -p "$app/Contents/MacOS" "$app/Contents/Frameworks" "$app/Contents/Resources"
cp "$built/Faultline" "$app/Contents/MacOS/"
cp "$root/build/client/lib/libfaultline_client.dylib" "$app/Contents/Frameworks/"
cp -R "$built"/*.bundle "$app/Contents/Resources/"
cp Info.plist "$app/Contents/"
install_name_tool -add_rpath @executable_path/../Frameworks "$app/Contents/MacOS/Faultline"
codesign --force --sign "${1:--}" "$app/Contents/Frameworks/libfaultline_client.dylib"
codesign --force --sign "${1:--}" "$app"
echo "$app"
